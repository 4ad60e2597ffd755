#include "tests/embed/embedded_python.h"
#include "tests/support/catch.h"

using namespace stint;
using namespace stint::test;

namespace {

const std::string content =
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";

void send(const std::string& options, FakeSink& sink, const std::string& method = "GET") {
  auto application = python().load("file_wrapped");
  REQUIRE(application);
  auto failure = call(*application, TestRequest{.method = method, .target = "/?" + options}, sink);
  INFO((failure ? failure->summary + failure->traceback : ""));
  REQUIRE(!failure);
}

}  // namespace

TEST_CASE("a plain file that comes back in its wrapper is sent as a file (WSGI 50)") {
  const std::string kind = GENERATE("plain", "raw", "proxy");
  FakeSink sink;
  send(kind, sink);
  REQUIRE(sink.files.size() == 1);
  CHECK(sink.files[0].offset == 0);
  CHECK(sink.length == content.size());
  CHECK(sink.body == content);
  CHECK(sink.flushed.empty());
}

TEST_CASE("it starts where the file stands, whatever has been read ahead (WSGI 50)") {
  FakeSink sink;
  send("plain,skip", sink);
  REQUIRE(sink.files.size() == 1);
  CHECK(sink.files[0].offset == 5);
  CHECK(sink.body == content.substr(5));
}

TEST_CASE("it honours Content-Length (WSGI 50)") {
  FakeSink shorter, longer;
  send("plain,skip,length=10", shorter);
  REQUIRE(shorter.files.size() == 1);
  CHECK(shorter.files[0].length == 10);
  CHECK(shorter.body == "5678901234");
  send("plain,length=1000", longer);
  CHECK(longer.body == content);
  CHECK(!longer.is_complete());
}

TEST_CASE("what is no plain file is read and sent block by block (WSGI 50)") {
  const std::string kind = GENERATE("bytesio", "gzip", "subclass");
  FakeSink sink;
  send(kind + ",skip", sink);
  CHECK(sink.files.empty());
  CHECK(sink.body == content.substr(5));
  CHECK(sink.flushed.size() == (content.size() - 5 + 6) / 7);
}

TEST_CASE("a wrapper inside a middleware is iterated (WSGI 49)") {
  FakeSink sink;
  send("plain,middleware", sink);
  CHECK(sink.files.empty());
  CHECK(sink.body == content);
}

TEST_CASE("the wrapper closes the file once, after it was handed over (WSGI 49, 50)") {
  FakeSink sink;
  send("plain", sink);
  CHECK(body_of("file_state") == "(True, 7, True)");
}

TEST_CASE("a file at its end gives an empty body") {
  FakeSink sink;
  send("plain,end", sink);
  CHECK(sink.files.empty());
  CHECK(sink.body.empty());
}

TEST_CASE("HEAD sends no file and tells its length") {
  FakeSink sink;
  send("plain", sink, "HEAD");
  CHECK(sink.files.empty());
  CHECK(sink.length == content.size());
}

TEST_CASE("a text file and a closed file are failures (WSGI 36, 50)") {
  auto application = python().load("file_wrapped");
  REQUIRE(application);
  FakeSink text, closed;
  auto failure = call(*application, "text", text);
  REQUIRE(failure);
  CHECK(failure->summary == "TypeError: the application's iterable gave str, not bytes");
  failure = call(*application, "plain,closed", closed);
  REQUIRE(failure);
  CHECK(failure->summary == "ValueError: read of closed file");
}
