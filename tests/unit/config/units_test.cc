#include "config/units.h"

#include "config/listen_text.h"
#include "tests/support/catch.h"

namespace stint::config {

using namespace std::chrono_literals;

TEST_CASE("durations and sizes are whole numbers with a unit", "[config]") {
  CHECK(parse_duration("500ms") == Duration(500));
  CHECK(parse_duration("10s") == Duration(10s));
  CHECK(parse_duration("5m") == Duration(5min));
  CHECK(parse_duration("12h") == Duration(12h));
  CHECK(parse_duration("0") == Duration::zero());
  CHECK(parse_size("200B") == Bytes{200});
  CHECK(parse_size("8KiB") == 8_KiB);
  CHECK(parse_size("256MiB") == 256_MiB);
  CHECK(parse_size("17179869183GiB") == 17179869183_GiB);

  for (const char* bad : {"", "s", "10", "1.5s", "-1s", "+1s", " 1s", "1 s", "1s ", "1S", "9223372036854775807s",
                          "99999999999999999999ms"})
    CHECK(parse_duration(bad) == std::nullopt);
  for (const char* bad : {"", "KiB", "10", "1KB", "1kib", "-1B", "17179869184GiB"})
    CHECK(parse_size(bad) == std::nullopt);
}

TEST_CASE("durations and sizes print as they are written", "[config]") {
  CHECK(text_of(Duration(60s)) == "60s");
  CHECK(text_of(Duration(75s)) == "75s");
  CHECK(text_of(Duration(5min)) == "5m");
  CHECK(text_of(Duration(1h)) == "1h");
  CHECK(text_of(Duration(1500ms)) == "1500ms");
  CHECK(text_of(64_KiB) == "64KiB");
  CHECK(text_of(1024_MiB) == "1GiB");
  CHECK(text_of(Bytes{1025}) == "1025B");
  for (const auto duration : {Duration(0), Duration(1), Duration(60s), Duration(61min), Duration(8760h)})
    CHECK(parse_duration(text_of(duration)) == duration);
  for (const auto size : {Bytes{0}, Bytes{1}, 3_KiB, 65536_GiB}) CHECK(parse_size(text_of(size)) == size);
}

TEST_CASE("units of other programs are understood well enough to suggest ours", "[config]") {
  CHECK(meant_size("256MB") == "256MiB");
  CHECK(meant_size("1g") == "1GiB");
  CHECK(meant_size("10 bytes") == "10B");
  CHECK(meant_size("ten").empty());
  CHECK(meant_duration("10 Seconds") == "10s");
  CHECK(meant_duration("2hours") == "2h");
  CHECK(meant_duration("10").empty());
}

TEST_CASE("listen addresses come out in one spelling", "[config]") {
  const auto text = [](std::string_view written) {
    const auto address = parse_listen_address(written, "/srv");
    return address.has_value() ? address->text() : "error";
  };
  CHECK(text("127.0.0.1:8000") == "127.0.0.1:8000");
  CHECK(text("[0:0:0:0:0:0:0:1]:80") == "[::1]:80");
  CHECK(text("unix:run/./a.sock") == "unix:/srv/run/a.sock");
  CHECK(text("unix:/run//a.sock") == "unix:/run/a.sock");
  for (const char* bad : {"", ":", "[]:80", "[::1]", "[127.0.0.1]:80", "127.0.0.1:", "127.0.0.1:+1", "127.1:80",
                          "unix:", "unix:/run/", "http://127.0.0.1:80"})
    CHECK(text(bad) == "error");
  CHECK(text("unix:/" + std::string(106, 'a')) != "error");
  CHECK(text("unix:/" + std::string(107, 'a')) == "error");
}

TEST_CASE("paths become absolute without following links", "[config]") {
  CHECK(absolute_path("a/b", "/srv") == "/srv/a/b");
  CHECK(absolute_path(".", "/srv") == "/srv");
  CHECK(absolute_path("./a/", "/") == "/a");
  CHECK(absolute_path("../a", "/srv/x") == "/srv/x/../a");
  CHECK(absolute_path("/a//./b/", "/srv") == "/a/b");
  CHECK(absolute_path("/", "/srv") == "/");
}

}  // namespace stint::config
