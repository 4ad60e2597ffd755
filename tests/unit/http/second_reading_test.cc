#include "server/http/second_reading.h"

#include "tests/support/catch.h"

#include <array>
#include <string>

namespace stint::http {
namespace {

constexpr std::string_view head = "/a?b HTTP/1.1\r\nHost: h\r\nEmpty: \r\nX:  long value \r\n\r\n";

std::string_view part(std::string_view text) { return head.substr(head.find(text), text.size()); }

std::array<HeaderField, 3> true_fields() {
  return {{{part("Host"), part("h\r").substr(0, 1)},
           {part("Empty"), part("\r\nX").substr(0, 0)},
           {part("X"), part("long value")}}};
}

TEST_CASE("llhttp agrees with a right reading of a head", "[http]") {
  CHECK(llhttp_reads_the_same(head, part("/a?b"), true_fields(), 1));
}

TEST_CASE("llhttp disagrees with any other reading of a head", "[http]") {
  const auto fields = true_fields();
  SECTION("the target ends elsewhere") { CHECK_FALSE(llhttp_reads_the_same(head, part("/a?"), fields, 1)); }
  SECTION("the version is another") { CHECK_FALSE(llhttp_reads_the_same(head, part("/a?b"), fields, 0)); }
  SECTION("a field is missing") {
    CHECK_FALSE(llhttp_reads_the_same(head, part("/a?b"), {fields.data(), 2}, 1));
    CHECK_FALSE(llhttp_reads_the_same(head, part("/a?b"), {fields.data() + 1, 2}, 1));
  }
  SECTION("a name ends elsewhere") {
    auto wrong = fields;
    wrong[0].name.remove_suffix(1);
    CHECK_FALSE(llhttp_reads_the_same(head, part("/a?b"), wrong, 1));
  }
  SECTION("a value begins or ends elsewhere") {
    auto wrong = fields;
    wrong[2].value.remove_suffix(1);
    CHECK_FALSE(llhttp_reads_the_same(head, part("/a?b"), wrong, 1));
    wrong = fields;
    wrong[2].value.remove_prefix(1);
    CHECK_FALSE(llhttp_reads_the_same(head, part("/a?b"), wrong, 1));
  }
  SECTION("an empty value is not empty") {
    auto wrong = fields;
    wrong[0].value = {};
    CHECK_FALSE(llhttp_reads_the_same(head, part("/a?b"), wrong, 1));
  }
  SECTION("the head ends earlier") {
    const std::string longer = std::string(head) + "GET / HTTP/1.1\r\n\r\n";
    CHECK_FALSE(llhttp_reads_the_same(longer, std::string_view(longer).substr(0, 4), {}, 1));
  }
}

}  // namespace
}  // namespace stint::http
