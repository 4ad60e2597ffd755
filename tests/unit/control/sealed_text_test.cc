#include "server/control/sealed_text.h"

#include "tests/support/catch.h"

#include <unistd.h>

#include <cerrno>

using namespace stint::control;

TEST_CASE("a sealed text is read as it was written, again and again, and cannot be changed", "[control]") {
  const std::string text = std::string(100'000, 'x') + '\0' + "end";
  const auto file = seal_text("stint-test", text, "test");
  REQUIRE(file.has_value());
  for (int i = 0; i < 2; ++i) {
    const auto read = read_sealed_text(file->get(), "test");
    REQUIRE(read.has_value());
    CHECK(*read == text);
  }
  CHECK(::pwrite(file->get(), "y", 1, 0) < 0);
  CHECK(errno == EPERM);
  CHECK(::ftruncate(file->get(), 0) != 0);
  CHECK_FALSE(read_sealed_text(-1, "test").has_value());
}
