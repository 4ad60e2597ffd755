#include "server/http/date.h"

#include "tests/support/catch.h"

namespace stint::http {
namespace {

TEST_CASE("a date is written as IMF-fixdate", "[http]") {
  CHECK(format_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT");
  CHECK(format_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT");
  CHECK(format_date(951782400) == "Tue, 29 Feb 2000 00:00:00 GMT");
  CHECK(format_date(4102444799) == "Thu, 31 Dec 2099 23:59:59 GMT");
}

TEST_CASE("the three forms of a date are read", "[http]") {
  for (const char* text :
       {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"}) {
    INFO(text);
    CHECK(parse_date(text) == std::optional<std::time_t>(784111777));
  }
  CHECK(parse_date("Wed Nov 16 08:49:37 1994") == std::optional<std::time_t>(784975777));
}

TEST_CASE("every date that is written is read again", "[http]") {
  for (std::time_t t = 0; t < 5000000000; t += 12345678) CHECK(parse_date(format_date(t)) == std::optional(t));
}

TEST_CASE("what is no date is not read", "[http]") {
  for (const char* text :
       {"", "0", "Sun", "Sun, 06 Nov 1994", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ", " Sun, 06 Nov 1994 08:49:37 GMT", "sun, 06 nov 1994 08:49:37 gmt",
        "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 29 Feb 1900 00:00:00 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov -994 08:49:37 GMT", "Xxx, 06 Nov 1994 08:49:37 GMT"}) {
    INFO(text);
    CHECK_FALSE(parse_date(text).has_value());
  }
}

TEST_CASE("a two-digit year far ahead is one of the last century", "[http]") {
  CHECK(format_date(*parse_date("Monday, 06-Nov-99 00:00:00 GMT")) == "Sat, 06 Nov 1999 00:00:00 GMT");
  CHECK(format_date(*parse_date("Monday, 06-Nov-25 00:00:00 GMT")) == "Thu, 06 Nov 2025 00:00:00 GMT");
}

TEST_CASE("the clock's text changes with the second", "[http]") {
  DateClock clock;
  CHECK(clock.at(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT");
  CHECK(clock.at(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT");
  CHECK(clock.at(784111778) == "Sun, 06 Nov 1994 08:49:38 GMT");
}

}  // namespace
}  // namespace stint::http
