#include "tests/embed/embedded_python.h"
#include "tests/support/catch.h"

using namespace stint;
using namespace stint::test;

namespace {

std::string validated(const char* callable, const TestRequest& request) {
  auto application = python().load(std::string("wsgi_validated:") + callable);
  INFO(python().failure.summary);
  REQUIRE(application);
  FakeSink sink;
  auto failure = call(*application, request, sink);
  INFO((failure ? failure->summary + "\n" + failure->traceback : ""));
  REQUIRE(!failure);
  return sink.body;
}

}  // namespace

TEST_CASE("wsgiref.validate finds nothing wrong") {
  std::vector<HeaderField> fields{{"Host", "example.test"}, {"Content-Type", "text/plain"}, {"Content-Length", "3"}};
  CHECK(validated("application", {}) == "body ");
  CHECK(validated("application", {.method = "POST", .target = "/a?b", .fields = fields, .body = "abc"}) == "body abc");
  CHECK(validated("application", {.method = "HEAD"}).empty());
  CHECK(validated("generator", {.method = "POST", .fields = fields, .body = "a\nb\nc"}) == "a\nb\nc");
  CHECK(validated("written", {}) == "written returned");
  CHECK(python().log.texts() == "validated|validated|validated");
}
