// wsgi.early_hints (WSGI 17): what the application says goes to the sink, or is wrong at the call.
#include "tests/embed/embedded_python.h"
#include "tests/support/catch.h"

using namespace stint;
using namespace stint::test;

TEST_CASE("early hints reach the sink, and what cannot be sent is refused at the call (WSGI 17)") {
  auto application = python().load("early_hints");
  REQUIRE(application);
  FakeSink sink;
  REQUIRE_FALSE(call(*application, "", sink));
  REQUIRE(sink.hints.size() == 2);
  CHECK(sink.hints[0] == std::pair<std::string, std::string>("Link", "</a.css>; rel=preload"));
  CHECK(sink.hints[1].second == "\xe9");
  CHECK(sink.body ==
        "nothing\n"
        "TypeError: early_hints: headers must be a list of (name, value) tuples, not tuple\n"
        "TypeError: early_hints: headers[0] must be a (name, value) tuple, not ['Link', 'x']\n"
        "TypeError: early_hints: headers[0] must be two str, not (str, int)\n"
        "ValueError: early_hints: headers[0] has characters above U+00FF: ('Link', '\\u20ac')\n"
        "ValueError: early_hints: a value contains a line feed\n"
        "RuntimeError: early_hints() called after the answer has begun");
}

TEST_CASE("a callable of early hints that was kept belongs to its request alone (WSGI 17)") {
  auto application = python().load("early_hints");
  REQUIRE(application);
  FakeSink first, second, third;
  REQUIRE_FALSE(call(*application, "keep", first));
  REQUIRE_FALSE(call(*application, "use-kept", second));
  CHECK_THAT(second.body,
             Catch::Matchers::StartsWith("RuntimeError: stint.early_hints() called after its request was over"));
  CHECK(second.hints.empty());
  REQUIRE_FALSE(call(*application, "", third));
  CHECK(third.hints.size() == 2);
}
