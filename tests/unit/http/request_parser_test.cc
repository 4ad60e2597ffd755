#include "server/http/request_parser.h"

#include "tests/support/catch.h"
#include "tests/unit/http/message_reader.h"

#include <string>

namespace stint::http {
namespace {

using Verdict = RequestParser::Verdict;

const std::string plain = "GET /a HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";

TEST_CASE("bytes that can no longer become a request are refused without waiting for more", "[http]") {
  const struct {
    std::string_view bytes, reason;
  } cases[] = {
      {"\x16", "method_byte"},
      {"\n", "bare_lf"},
      {"\r\n\r\n\r\n\r\n\r", "empty_lines"},
      {"GET /\x80", "target_byte"},
      {"GET /#", "fragment"},
      {"GET /\r", "no_version"},
      {"GET / \n", "bare_lf"},
      {"GET / HTTP/1.1\rX", "bare_cr"},
      {"GET / HTTP/1.2\r\n", "version_unsupported"},
      {"GET / HTTP/1.1\r\n ", "blank_before_fields"},
      {"GET / HTTP/1.1\r\nHost ", "blank_before_colon"},
      {"GET / HTTP/1.1\r\nHost: a\r\n\t", "folded_line"},
      {"GET / HTTP/1.1\r\nX: \x01", "value_byte"},
      {"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n", "two_lengths"},
  };
  for (const auto& one : cases) {
    INFO(one.reason);
    RequestParser parser(small_limits);
    CHECK(parser.parse(one.bytes.substr(0, one.bytes.size() - 1)) == Verdict::incomplete);
    CHECK(parser.parse(one.bytes) == Verdict::refused);
    CHECK(text_of(parser.refusal().reason) == one.reason);
  }
}

TEST_CASE("a refusal is final", "[http]") {
  RequestParser parser(small_limits);
  CHECK(parser.parse("\n") == Verdict::refused);
  CHECK(parser.parse("\n" + plain) == Verdict::refused);
  CHECK(text_of(parser.refusal().reason) == "bare_lf");
}

TEST_CASE("a request has begun with its first byte, not with empty lines before it", "[http]") {
  RequestParser parser(small_limits);
  CHECK_FALSE(parser.has_begun());
  CHECK(parser.parse("\r\n\r\n") == Verdict::incomplete);
  CHECK_FALSE(parser.has_begun());
  CHECK(parser.parse("\r\n\r\nG") == Verdict::incomplete);
  CHECK(parser.has_begun());
  parser.reset();
  CHECK_FALSE(parser.has_begun());
}

TEST_CASE("one parser reads one request after the other and keeps nothing of the earlier", "[http]") {
  RequestParser parser(small_limits);
  const std::string first =
      "POST /%41 HTTP/1.0\r\nHost: one\r\nContent-Type: a\r\nAuthorization: b\r\nContent-Length: 0\r\nExpect: "
      "100-continue\r\nConnection: close\r\nX_Y: z\r\nProxy: p\r\n\r\n";
  const std::string bytes = first + plain + first;
  REQUIRE(parser.parse(bytes) == Verdict::complete);
  CHECK(parser.head().path == "/A");
  CHECK(parser.head().dropped_underscore_fields == 1);
  CHECK(parser.head_size() == first.size());

  parser.reset();
  const std::string_view rest = std::string_view(bytes).substr(first.size());
  REQUIRE(parser.parse(rest) == Verdict::complete);
  CHECK(parser.head_size() == plain.size());
  CHECK(parser.head().method == "GET");
  CHECK(parser.head().path == "/a");
  CHECK(parser.head().host == "a");
  CHECK(parser.head().version_minor == 1);
  CHECK(parser.head().fields.size() == 2);
  CHECK(parser.head().body == BodyKind::none);
  CHECK(parser.head().wants_keep_alive);
  CHECK_FALSE(parser.head().expects_continue);
  CHECK(parser.head().dropped_underscore_fields == 0);

  parser.reset();
  REQUIRE(parser.parse(rest.substr(plain.size())) == Verdict::complete);
  CHECK(parser.head().host == "one");
}

TEST_CASE("views of a head point into the bytes of the call that completed it", "[http]") {
  RequestParser parser(small_limits);
  std::string early = plain.substr(0, 30);
  CHECK(parser.parse(early) == Verdict::incomplete);
  early.assign(early.size(), '!');
  const std::string bytes = plain;
  REQUIRE(parser.parse(bytes) == Verdict::complete);
  const auto is_inside = [&bytes](std::string_view view) {
    return view.data() >= bytes.data() && view.data() + view.size() <= bytes.data() + bytes.size();
  };
  CHECK(is_inside(parser.head().method));
  CHECK(is_inside(parser.head().target));
  CHECK(is_inside(parser.head().host));
  CHECK(is_inside(parser.head().fields[1].name));
  CHECK(parser.head().fields[0].value == "a");
}

TEST_CASE("a limit of no fields, no length and no body is a limit", "[http]") {
  const HeadLimits none{Bytes{0}, 0, Bytes{0}, Bytes{0}};
  CHECK(read_message({"G"}, none).status == 414);
  CHECK(read_message({"GET / HTTP/1.0\r\nX"}, {Bytes{100}, 0, Bytes{100}, Bytes{0}}).reason == "too_many_fields");
  CHECK(read_message({"GET / HTTP/1.0\r\nX"}, {Bytes{100}, 9, Bytes{0}, Bytes{0}}).reason == "fields_too_large");
  CHECK(read_message({"GET / HTTP/1.0\r\n\r\n"}, {Bytes{100}, 0, Bytes{0}, Bytes{0}}).verdict ==
        Message::Verdict::complete);
  CHECK(read_message({"GET / HTTP/1.0\r\nContent-Length: 1\r\n\r\n"}, {Bytes{100}, 9, Bytes{99}, Bytes{0}}).status ==
        413);
}

}  // namespace
}  // namespace stint::http
