#include "server/http/response_head.h"

#include "tests/support/catch.h"

#include <string>
#include <vector>

namespace stint::http {
namespace {

using Fields = std::vector<HeaderField>;
constexpr std::string_view date = "Sun, 06 Nov 1994 08:49:37 GMT";

std::string error_of(std::string_view status, const Fields& fields = {}) {
  ResponseHead head;
  const Result<void> made = head.set(status, fields);
  return made.has_value() ? "" : made.error().text();
}

std::string written(const ResponseHead& head, std::string_view method = "GET", int minor = 1, bool keep_alive = true) {
  std::string out;
  head.append_to(out, head.framing(method, minor), minor, keep_alive, date);
  return out;
}

ResponseHead made(std::string_view status, const Fields& fields = {}) {
  ResponseHead head;
  REQUIRE(head.set(status, fields).has_value());
  return head;
}

TEST_CASE("a status is three digits of a final answer, a space and a reason without controls", "[http]") {
  for (const char* good : {"200 OK", "200 ", "404 Not Found", "599 x", "999 Caf\xe9", "299 a  b"}) {
    INFO(good);
    CHECK(error_of(good) == "");
  }
  for (const std::string_view bad :
       {"", "200", "20 OK", "2000 OK", "200OK", " 200 OK", "abc OK", "-20 x", "200\tOK", "+99 x"}) {
    INFO(bad);
    CHECK_THAT(error_of(bad), Catch::Matchers::ContainsSubstring("three digits"));
  }
  for (const char* bad : {"100 Continue", "101 Switching Protocols", "199 x", "000 x"}) {
    INFO(bad);
    CHECK_THAT(error_of(bad), Catch::Matchers::ContainsSubstring("final"));
  }
  CHECK(error_of("200 OK\r\nX: y") == "status contains a carriage return");
  CHECK(error_of("200 O\nK") == "status contains a line feed");
  CHECK(error_of(std::string_view("200 O\0K", 7)) == "status contains a NUL");
  CHECK(error_of("200 O\tK") == "status contains a tab");
  CHECK(error_of("200 O\x7f") == "status contains a DEL");
}

TEST_CASE("names are tokens and values have no controls", "[http]") {
  CHECK(error_of("200 OK", {{"X-A", "a\tb \x80\xff"}, {"!#$%&'*+-.^_`|~", ""}}) == "");
  CHECK(error_of("200 OK", {{"", "x"}}) == "header name is empty");
  for (const std::string_view bad : {"X A", "X:", "X\r\nY", "X\n", "X\x80", "(X)", "X ", "\tX"}) {
    CHECK_THAT(error_of("200 OK", {{bad, "x"}}), Catch::Matchers::ContainsSubstring("is not a token"));
  }
  CHECK(error_of("200 OK", {{"X-A", "a\nb"}}) == "header value of 'X-A' contains a line feed");
  CHECK(error_of("200 OK", {{"X-A", "a\rb"}}) == "header value of 'X-A' contains a carriage return");
  CHECK(error_of("200 OK", {{"X-A", std::string_view("a\0b", 3)}}) == "header value of 'X-A' contains a NUL");
  CHECK(error_of("200 OK", {{"X-A", "\x1b[2J"}}) == "header value of 'X-A' contains control character 27");
  CHECK(error_of("200 OK", {{"X-A", "a long value with a DEL in it: \x7f."}}) ==
        "header value of 'X-A' contains a DEL");
}

TEST_CASE("every control byte is found at every place of a value", "[http]") {
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool allowed = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
    for (std::size_t place = 0; place < 20; ++place) {
      for (const char around : {'a', '\t', '\x80', ' ', '\xff', '~'}) {
        std::string value(20, around);
        value[place] = static_cast<char>(byte);
        if ((error_of("200 OK", {{"X", value}}) == "") != allowed) FAIL_CHECK(byte << " at " << place);
      }
    }
  }
}

TEST_CASE("a refused head changes nothing", "[http]") {
  ResponseHead head = made("200 OK", {{"X", "y"}, {"Content-Length", "3"}});
  const std::string before = written(head);
  CHECK_FALSE(head.set("404 Not Found", Fields{{"A", "b"}, {"X", "\n"}}).has_value());
  CHECK_FALSE(head.set("404", Fields{}).has_value());
  CHECK_FALSE(head.set("404 Not Found", Fields{{"Content-Length", "x"}}).has_value());
  CHECK(written(head) == before);
  CHECK(head.code() == 200);
}

TEST_CASE("a second head replaces status and all fields of the first", "[http]") {
  ResponseHead head = made("200 OK", {{"Date", "x"}, {"Server", "y"}, {"Content-Length", "3"}, {"Connection", "z"}});
  REQUIRE(head.set("500 Oops", Fields{{"A", "b"}}).has_value());
  CHECK(head.dropped_hop_by_hop() == 0);
  CHECK_FALSE(head.content_length().has_value());
  CHECK(written(head) ==
        "HTTP/1.1 500 Oops\r\nA: b\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: stint\r\n"
        "Transfer-Encoding: chunked\r\n\r\n");
  head.clear();
  CHECK_FALSE(head.is_set());
}

TEST_CASE("Content-Length is a number, once", "[http]") {
  CHECK(error_of("200 OK", {{"Content-Length", "18446744073709551615"}}) == "");
  for (const std::string_view bad : {"", "-1", "+1", "1 ", "0x1", "1,1", "18446744073709551616"}) {
    INFO(bad);
    CHECK_THAT(error_of("200 OK", {{"content-length", bad}}), Catch::Matchers::ContainsSubstring("not a number"));
  }
  CHECK(error_of("200 OK", {{"Content-Length", "1"}, {"content-length", "1"}}) == "Content-Length is given twice");
}

TEST_CASE("hop-by-hop fields of the application are dropped and counted", "[http]") {
  const ResponseHead head = made("200 OK", {{"Connection", "x"},
                                            {"keep-alive", "x"},
                                            {"Proxy-Authenticate", "x"},
                                            {"Proxy-Authorization", "x"},
                                            {"Proxy-Connection", "x"},
                                            {"TE", "x"},
                                            {"Trailer", "x"},
                                            {"Trailers", "x"},
                                            {"TRANSFER-ENCODING", "chunked"},
                                            {"Upgrade", "x"},
                                            {"X", "y"}});
  CHECK(head.dropped_hop_by_hop() == 10);
  CHECK(head.lines() == "X: y\r\n");
}

TEST_CASE("repeated fields stay lines of their own, in order", "[http]") {
  CHECK(made("200 OK", {{"Set-Cookie", "a=1"}, {"X", "1"}, {"Set-Cookie", "b=2"}, {"X", "2"}}).lines() ==
        "Set-Cookie: a=1\r\nX: 1\r\nSet-Cookie: b=2\r\nX: 2\r\n");
}

TEST_CASE("Date and Server are added only where the application gave none", "[http]") {
  const std::string own = written(made("200 OK", {{"date", "d"}, {"SERVER", "s"}, {"Content-Length", "0"}}));
  CHECK(own == "HTTP/1.1 200 OK\r\ndate: d\r\nSERVER: s\r\nContent-Length: 0\r\n\r\n");
  const std::string ours = written(made("200 OK", {{"Content-Length", "0"}}));
  CHECK(ours == "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: stint\r\n\r\n");
}

TEST_CASE("the framing follows method, status, version and length", "[http]") {
  const ResponseHead sized = made("200 OK", {{"Content-Length", "3"}});
  const ResponseHead unsized = made("200 OK");
  CHECK(sized.framing("GET", 1) == BodyFraming::length);
  CHECK(sized.framing("GET", 0) == BodyFraming::length);
  CHECK(sized.framing("HEAD", 1) == BodyFraming::none);
  CHECK(sized.framing("head", 1) == BodyFraming::length);
  CHECK(unsized.framing("GET", 1) == BodyFraming::chunked);
  CHECK(unsized.framing("GET", 0) == BodyFraming::until_close);
  CHECK(unsized.framing("HEAD", 0) == BodyFraming::none);
  for (const char* status : {"204 No Content", "304 Not Modified"}) {
    CHECK(made(status, {{"Content-Length", "3"}}).framing("GET", 1) == BodyFraming::none);
  }
}

TEST_CASE("what frames a body is written as the framing says", "[http]") {
  using Catch::Matchers::ContainsSubstring;
  const auto lacks = [](const std::string& head, std::string_view text) { return head.find(text) == head.npos; };

  const ResponseHead sized = made("200 OK", {{"A", "b"}, {"Content-Length", "3"}, {"C", "d"}});
  CHECK_THAT(written(sized), ContainsSubstring("A: b\r\nContent-Length: 3\r\nC: d\r\n"));
  CHECK_THAT(written(sized, "HEAD"), ContainsSubstring("Content-Length: 3\r\n"));
  CHECK(lacks(written(sized, "HEAD"), "Transfer"));
  CHECK(lacks(written(made("200 OK"), "HEAD"), "Transfer"));
  CHECK(lacks(written(made("200 OK"), "GET", 0), "Transfer"));

  const std::string no_content = written(made("204 No Content", {{"A", "b"}, {"Content-Length", "0"}, {"C", "d"}}));
  CHECK_THAT(no_content, ContainsSubstring("A: b\r\nC: d\r\n"));
  CHECK(lacks(no_content, "Content-Length"));
  CHECK(lacks(no_content, "Transfer"));
  CHECK_THAT(written(made("304 Not Modified", {{"Content-Length", "9"}})), ContainsSubstring("Content-Length: 9\r\n"));
}

TEST_CASE("a length known beforehand is written where the application gave none", "[http]") {
  ResponseHead head = made("200 OK", {{"A", "b"}});
  head.set_length(12345678901234567890u);
  CHECK(head.framing("GET", 0) == BodyFraming::length);
  CHECK_THAT(written(head), Catch::Matchers::ContainsSubstring("\r\nContent-Length: 12345678901234567890\r\n"));
  CHECK_THAT(written(head, "HEAD"), Catch::Matchers::ContainsSubstring("\r\nContent-Length: 12345678901234567890\r\n"));

  ResponseHead own = made("200 OK", {{"Content-Length", "3"}});
  own.set_length(4);
  CHECK(*own.content_length() == 3);
  ResponseHead unchanged = made("304 Not Modified");
  unchanged.set_length(0);
  CHECK(written(unchanged).find("Content-Length") == std::string::npos);
}

TEST_CASE("the Connection field tells what happens to the connection", "[http]") {
  const ResponseHead head = made("200 OK", {{"Content-Length", "0"}});
  CHECK(written(head, "GET", 1, true).find("Connection") == std::string::npos);
  CHECK_THAT(written(head, "GET", 0, true), Catch::Matchers::ContainsSubstring("\r\nConnection: keep-alive\r\n\r\n"));
  CHECK_THAT(written(head, "GET", 1, false), Catch::Matchers::ContainsSubstring("\r\nConnection: close\r\n\r\n"));
  CHECK_THAT(written(head, "GET", 0, false), Catch::Matchers::ContainsSubstring("\r\nConnection: close\r\n\r\n"));
}

TEST_CASE("status codes have the names of their registry", "[http]") {
  CHECK(reason_phrase(200) == "OK");
  CHECK(reason_phrase(431) == "Request Header Fields Too Large");
  CHECK(reason_phrase(299) == "Unknown");
}

}  // namespace
}  // namespace stint::http
