#include "tests/embed/embedded_python.h"
#include "tests/support/catch.h"

using namespace stint;
using namespace stint::test;

TEST_CASE("wsgi.errors is a text stream of lines for the log (WSGI 16)") {
  body_of("errors_written", TestRequest{.id = "r5"});
  CHECK(python().log.texts() == "one|two|partial|\xe2\x82\xac\\udc80 \xc3\xa9|ab|c|left over");
  for (auto& line : python().log.lines()) {
    CHECK(line.level == LogLevel::error);
    CHECK(line.message == "application");
    CHECK(line.fields["worker"] == "3");
    CHECK(line.fields["request"] == "r5");
  }
}

TEST_CASE("wsgi.errors takes str only (WSGI 16)") {
  auto application = python().load("errors_wrong");
  REQUIRE(application);
  FakeSink sink;
  auto failure = call(*application, "", sink);
  REQUIRE(failure);
  CHECK(failure->summary == "TypeError: wsgi.errors: write() takes str, not bytes");
}

TEST_CASE("wsgi.errors works after its request, from another thread, under its request's name (WSGI 16)") {
  auto application = python().load("errors_kept");
  REQUIRE(application);
  FakeSink first, second;
  REQUIRE(!call(*application, TestRequest{.id = "first"}, first));
  REQUIRE(!call(*application, TestRequest{.id = "second"}, second));
  auto lines = python().log.lines();
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].fields["text"] == "late");
  CHECK(lines[0].fields["request"] == "first");
}
