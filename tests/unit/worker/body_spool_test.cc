#include "server/worker/body_spool.h"

#include "tests/support/catch.h"

#include <unistd.h>

#include <cstdlib>
#include <string>

using stint::worker::BodySpool;

TEST_CASE("a body up to 256 KiB stays in memory, a larger one is in a file, whole", "[worker]") {
  BodySpool spool;
  std::string expected;
  while (expected.size() < BodySpool::memory_most) {
    const std::string part = std::to_string(expected.size()) + std::string(1000, '.');
    const std::string fitting = part.substr(0, BodySpool::memory_most - expected.size());
    REQUIRE(spool.append(fitting).has_value());
    expected += fitting;
  }
  CHECK(spool.body(true).memory == expected);
  CHECK(spool.body(true).file == -1);

  REQUIRE(spool.append("one more").has_value());
  REQUIRE(spool.flush().has_value());
  expected += "one more";
  const stint::RequestBody body = spool.body(true);
  REQUIRE(body.file >= 0);
  CHECK(body.size == expected.size());
  std::string got(expected.size(), '\0');
  REQUIRE(::pread(body.file, got.data(), got.size(), 0) == static_cast<ssize_t>(got.size()));
  CHECK(got == expected);

  spool.clear();
  CHECK(spool.body(false).size == 0);
  CHECK(spool.body(false).file == -1);
}

TEST_CASE("a folder that takes no file is an error that names it", "[worker]") {
  ::setenv("TMPDIR", "/nonexistent-folder", 1);
  BodySpool spool;
  const auto result = spool.append(std::string(BodySpool::memory_most + 1, 'x'));
  ::unsetenv("TMPDIR");
  REQUIRE_FALSE(result.has_value());
  CHECK_THAT(result.error().text(), Catch::Matchers::ContainsSubstring("/nonexistent-folder"));
}

TEST_CASE("pieces of any size are in the file in their order once they are flushed", "[worker]") {
  BodySpool spool;
  std::string expected;
  const auto append = [&](std::size_t size) {
    const std::string piece(size, static_cast<char>('a' + expected.size() % 26));
    REQUIRE(spool.append(piece).has_value());
    expected += piece;
  };
  append(3);
  REQUIRE(spool.share().has_value());
  while (expected.size() < 2 * BodySpool::memory_most) {
    for (const std::size_t size : {1, 100, 20'000, 7, 16'384}) append(size);
    REQUIRE(spool.append("").has_value());
  }
  append(1);
  CHECK_FALSE(spool.is_shared());
  REQUIRE(spool.flush().has_value());
  CHECK(spool.is_shared());

  const stint::RequestBody body = spool.body(true);
  CHECK(body.memory.empty());
  REQUIRE(body.size == expected.size());
  std::string got(expected.size() + 1, '\0');
  REQUIRE(::pread(body.file, got.data(), got.size(), 0) == static_cast<ssize_t>(expected.size()));
  got.pop_back();
  CHECK(got == expected);
}
