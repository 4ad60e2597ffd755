#include "server/http/access_log.h"

#include "tests/support/catch.h"

#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <vector>

namespace stint::http {
namespace {

// An answer to a browser, with local time two hours and a half west of Greenwich.
struct Example {
  std::vector<HeaderField> fields{{"Host", "www.example.com:8080"},
                                  {"Referer", "http://r/"},
                                  {"User-Agent", "Mozilla/5.0 \"q\""},
                                  {"Cookie", "a=1; session=xyz;b=2"},
                                  {"X-Forwarded-For", "192.0.2.1"},
                                  {"x-forwarded-for", "192.0.2.2"},
                                  {"X-Empty", ""}};
  AccessEntry entry;

  Example() {
    ::setenv("TZ", "XYZ+02:30", 1);
    ::tzset();
    entry.endpoints = {"192.0.2.7", "40000", "10.0.0.1", "8080"};
    entry.peer_address = "10.0.0.9";
    entry.method = "GET";
    entry.target = "/a/b?c=d&e";
    entry.fields = fields;
    entry.response_lines = "Content-Type: text/html\r\nX-Empty: \r\nContent-Length: 5\r\n";
    entry.status = 200;
    entry.body_bytes = 1234;
    entry.began = 971211336;
    entry.took = std::chrono::microseconds(1234567);
    entry.id = "r-1";
    entry.worker = 3;
  }

  std::string line(std::string_view format) const {
    const auto compiled = AccessLogFormat::compile(format);
    REQUIRE(compiled.has_value());
    std::string out = "before ";
    compiled->append_line(out, entry);
    REQUIRE(out.starts_with("before "));
    REQUIRE(out.ends_with("\n"));
    return out.substr(7, out.size() - 8);
  }
};

TEST_CASE("the common and the combined log format are Apache's", "[http]") {
  const Example example;
  CHECK(example.line("common") == "192.0.2.7 - - [10/Oct/2000:18:25:36 -0230] \"GET /a/b?c=d&e HTTP/1.1\" 200 1234");
  CHECK(example.line("combined") ==
        "192.0.2.7 - - [10/Oct/2000:18:25:36 -0230] \"GET /a/b?c=d&e HTTP/1.1\" 200 1234 \"http://r/\" "
        "\"Mozilla/5.0 \\\"q\\\"\"");
}

TEST_CASE("every directive says what Apache says", "[http]") {
  const Example example;
  const struct {
    std::string_view format, line;
  } cases[] = {
      {"%h %a %{c}a %A", "192.0.2.7 192.0.2.7 10.0.0.9 10.0.0.1"},
      {"%l %u", "- -"},
      {"%{sec}t %{msec}t %{usec}t", "971211336 971211336000 971211336000000"},
      {"%{%Y-%m-%d %H:%M}t", "2000-10-10 18:25"},
      {"%{begin:%S}t %{end:%S}t %{end:sec}t", "36 37 971211337"},
      {"%r", "GET /a/b?c=d&e HTTP/1.1"},
      {"%m %U %q %H", "GET /a/b ?c=d&e HTTP/1.1"},
      {"%s %>s %<s", "200 200 200"},
      {"%b %B", "1234 1234"},
      {"%D %T %{ms}T %{us}T %{s}T", "1234567 1 1234 1234567 1"},
      {"%{referer}i %{X-None}i [%{X-Empty}i]", "http://r/ - []"},
      {"%{X-Forwarded-For}i", "192.0.2.1, 192.0.2.2"},
      {"%{content-type}o %{X-None}o [%{X-Empty}o] %{Content-Length}o", "text/html - [] 5"},
      {"%{session}C %{b}C %{ses}C", "xyz 2 -"},
      {"%v %V %p %{local}p %{remote}p", "10.0.0.1 www.example.com 8080 8080 40000"},
      {"%X %L %{id}L", "+ r-1 r-1"},
      {"100%% %h%h", "100% 192.0.2.7192.0.2.7"},
      {"%400,200{Referer}i %!200{Referer}i %!404s %404s", "http://r/ - 200 -"},
      {R"(\"%s\" \\ \x)", R"("200" \ \x)"},
      {"", ""},
  };
  for (const auto& one : cases) {
    INFO(one.format);
    CHECK(example.line(one.format) == one.line);
  }
  CHECK(example.line("%P %{pid}P") == std::to_string(::getpid()) + " " + std::to_string(::getpid()));
}

TEST_CASE("what is not there is a dash", "[http]") {
  Example example;
  example.entry = {};
  example.entry.status = 400;
  CHECK(example.line("%h %A %v %V %p %r %m %U [%q] %H %s %b %B %L %{X}i %{X}o %{X}C") ==
        "- - - - - - - - [] - 400 - 0 - - - -");
  example.entry.was_complete = false;
  CHECK(example.line("%X") == "X");
}

TEST_CASE("what a client sent cannot end or forge a line", "[http]") {
  Example example;
  example.entry.target = "/\"\\\n\r\t\v\b\x01\x7f\x80\xff";
  CHECK(example.line("%U") == R"(/\"\\\n\r\t\v\b\x01\x7f\x80\xff)");
  std::vector<HeaderField> fields{{"Referer", "a\nb"}, {"Cookie", "c=\x1b[2J"}};
  example.entry.fields = fields;
  example.entry.method = "G\nT";
  CHECK(example.line("%{Referer}i %{c}C %r") == R"(a\nb \x1b[2J G\nT /\"\\\n\r\t\v\b\x01\x7f\x80\xff HTTP/1.1)");
}

TEST_CASE("json is one object a line with fixed keys", "[http]") {
  Example example;
  CHECK(example.line("json") ==
        R"({"time":"2000-10-10T20:55:36Z","remote":"192.0.2.7","user":"","method":"GET","target":"/a/b?c=d&e",)"
        R"("protocol":"HTTP/1.1","status":200,"bytes":1234,"took_us":1234567,"referer":"http://r/",)"
        R"("user_agent":"Mozilla/5.0 \"q\"","id":"r-1","worker":3})");
  example.entry = {};
  example.entry.target = "\"\\\n\x80";
  CHECK(example.line("json") ==
        R"({"time":"1970-01-01T00:00:00Z","remote":"","user":"","method":"","target":"\"\\\u000a\u0080",)"
        R"("protocol":"","status":0,"bytes":0,"took_us":0,"referer":"","user_agent":"","id":"","worker":0})");
}

TEST_CASE("the time in a line follows the entry's second", "[http]") {
  Example example;
  const auto format = AccessLogFormat::compile("%t %{%S}t");
  std::string out;
  for (const std::time_t second : {971211336, 971211337, 971211336}) {
    example.entry.began = second;
    format->append_line(out, example.entry);
  }
  CHECK(out == "[10/Oct/2000:18:25:36 -0230] 36\n[10/Oct/2000:18:25:37 -0230] 37\n[10/Oct/2000:18:25:36 -0230] 36\n");
}

TEST_CASE("an unknown directive is named with its place", "[http]") {
  const struct {
    std::string_view format, directive, place;
  } cases[] = {
      {"%h %Z", "'%Z'", "character 4"},
      {"%O", "'%O'", "character 1"},
      {"%I", "'%I'", "character 1"},
      {"%{x}n", "'%{x}n'", "character 1"},
      {"a%{Referer", "'%{Referer'", "character 2"},
      {"100%", "'%'", "character 4"},
      {"%{h}T", "'%{h}T'", "character 1"},
      {"%{msec_frac}t", "'%{msec_frac}t'", "character 1"},
      {"%i", "'%i'", "character 1"},
      {"%!h", "'%!'", "character 1"},
      {"%20s", "'%20'", "character 1"},
      {"%{tid}P", "'%{tid}P'", "character 1"},
  };
  for (const auto& one : cases) {
    INFO(one.format);
    const auto compiled = AccessLogFormat::compile(one.format);
    REQUIRE_FALSE(compiled.has_value());
    CHECK_THAT(compiled.error().text(), Catch::Matchers::ContainsSubstring(std::string(one.directive)));
    CHECK_THAT(compiled.error().text(), Catch::Matchers::ContainsSubstring(std::string(one.place)));
  }
}

}  // namespace
}  // namespace stint::http
