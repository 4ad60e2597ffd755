#include "server/http/conditional.h"

#include "tests/support/catch.h"

#include <vector>

namespace stint::http {
namespace {

using Fields = std::vector<HeaderField>;

// A file of 1000 bytes, changed at "Sun, 06 Nov 1994 08:49:37 GMT".
const FileVersion file{1000, 784111777, "\"v1\""};
constexpr std::string_view same = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr std::string_view before = "Sun, 06 Nov 1994 08:49:36 GMT";
constexpr std::string_view after = "Sun, 06 Nov 1994 08:49:38 GMT";

struct Wanted {
  int status;
  std::uint64_t offset = 0, length = 0;
};

void check(const Fields& fields, Wanted wanted, std::string_view method = "GET", const FileVersion& of = file) {
  for (const HeaderField& field : fields) UNSCOPED_INFO(field.name << ": " << field.value);
  const FileAnswer answer = decide(method, fields, of);
  CHECK(answer.status == wanted.status);
  if (wanted.status == 200) wanted.length = of.size;
  CHECK(answer.offset == wanted.offset);
  CHECK(answer.length == wanted.length);
}

TEST_CASE("without conditions the whole file is answered", "[http]") {
  check({}, {200});
  check({{"Accept", "x"}}, {200}, "HEAD");
}

TEST_CASE("a client that has the version gets 304", "[http]") {
  for (const std::string_view list :
       {"\"v1\"", "W/\"v1\"", "*", "\"a\", \"v1\"", "\"a,\" , W/\"v1\",\"b\"", " \"v1\" "}) {
    check({{"If-None-Match", list}}, {304});
    check({{"if-none-match", list}}, {304}, "HEAD");
  }
  for (const std::string_view list : {"\"v2\"", "v1", "\"v1", "", "\"a, v1\"", "\"a\" \"v1\"", "w/\"v1\""}) {
    check({{"If-None-Match", list}}, {200});
  }
  check({{"If-None-Match", "\"a\""}, {"If-None-Match", "\"v1\""}}, {304});
  check({{"If-Modified-Since", same}}, {304});
  check({{"If-Modified-Since", after}}, {304});
  check({{"If-Modified-Since", before}}, {200});
  check({{"If-Modified-Since", "yesterday"}}, {200});
}

TEST_CASE("tags count more than dates", "[http]") {
  check({{"If-None-Match", "\"v2\""}, {"If-Modified-Since", same}}, {200});
  check({{"If-Modified-Since", before}, {"If-None-Match", "\"v1\""}}, {304});
  check({{"If-Match", "\"v1\""}, {"If-Unmodified-Since", before}}, {200});
}

TEST_CASE("a client that wants another version gets 412", "[http]") {
  check({{"If-Match", "\"v1\""}}, {200});
  check({{"If-Match", "*"}}, {200});
  check({{"If-Match", "\"v2\""}}, {412});
  check({{"If-Match", "W/\"v1\""}}, {412});
  check({{"If-Unmodified-Since", before}}, {412});
  check({{"If-Unmodified-Since", same}}, {200});
  check({{"If-Unmodified-Since", "junk"}}, {200});
  check({{"If-Match", "\"v2\""}, {"If-None-Match", "\"v1\""}}, {412});
}

TEST_CASE("one range of bytes is answered 206", "[http]") {
  check({{"Range", "bytes=0-499"}}, {206, 0, 500});
  check({{"Range", "bytes=500-"}}, {206, 500, 500});
  check({{"Range", "bytes=-300"}}, {206, 700, 300});
  check({{"Range", "bytes=-3000"}}, {206, 0, 1000});
  check({{"Range", "BYTES=999-5000"}}, {206, 999, 1});
  check({{"Range", "bytes=0-0"}}, {206, 0, 1});
}

TEST_CASE("a range outside the file is answered 416", "[http]") {
  check({{"Range", "bytes=1000-"}}, {416});
  check({{"Range", "bytes=1000-2000"}}, {416});
  check({{"Range", "bytes=-0"}}, {416});
  const FileVersion empty{0, 0, "\"e\""};
  check({{"Range", "bytes=0-"}}, {416}, "GET", empty);
  check({{"Range", "bytes=-5"}}, {200}, "GET", empty);
}

TEST_CASE("several ranges, other units and malformed ranges are answered with the whole file", "[http]") {
  for (const std::string_view range :
       {"bytes=0-1,5-6", "items=0-1", "bytes=5-1", "bytes=-", "bytes=", "bytes", "", "bytes=a-b", "bytes=1",
        "bytes=1-2-3", "bytes=+1-2", "bytes=--1", "bytes=99999999999999999999-"}) {
    check({{"Range", range}}, {200});
  }
  check({{"Range", "bytes=0-1"}, {"Range", "bytes=2-3"}}, {200});
  check({{"Range", "bytes=0-1"}}, {200}, "HEAD");
}

TEST_CASE("If-Range lets a range count only for the same version", "[http]") {
  const auto with = [](std::string_view condition) { return Fields{{"Range", "bytes=0-1"}, {"If-Range", condition}}; };
  check(with("\"v1\""), {206, 0, 2});
  check(with(same), {206, 0, 2});
  check(with("\"v2\""), {200});
  check(with("W/\"v1\""), {200});
  check(with(before), {200});
  check(with(after), {200});
  check(with("junk"), {200});
  check(with(""), {200});
  const FileVersion weak{1000, 784111777, "W/\"v1\""};
  check(with("W/\"v1\""), {200}, "GET", weak);
}

TEST_CASE("conditions come before ranges and count for GET and HEAD alone", "[http]") {
  check({{"Range", "bytes=0-1"}, {"If-None-Match", "\"v1\""}}, {304});
  check({{"Range", "bytes=0-1"}, {"If-Match", "\"v2\""}}, {412});
  check({{"If-None-Match", "\"v1\""}, {"Range", "bytes=0-1"}}, {200}, "POST");
}

TEST_CASE("a tag differs with size and time", "[http]") {
  CHECK(make_etag(255, 16) == "\"10-ff\"");
  CHECK(make_etag(255, 17) != make_etag(255, 16));
  CHECK(make_etag(~0ull, -1) == "\"ffffffffffffffff-ffffffffffffffff\"");
}

TEST_CASE("a field is found by its name in any case", "[http]") {
  const Fields fields{{"X-A", "1"}, {"x-a", "2"}, {"Y", ""}};
  CHECK(find_field(fields, "X-a") == "1");
  CHECK(find_field(fields, "X").data() == nullptr);
  CHECK(find_field(fields, "y").data() != nullptr);
}

}  // namespace
}  // namespace stint::http
