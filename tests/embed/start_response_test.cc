#include "tests/embed/embedded_python.h"
#include "tests/support/catch.h"

#include <unistd.h>

using namespace stint;
using namespace stint::test;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("start_response is called with two or three arguments, or exc_info by name (WSGI 26)") {
  for (const char* way : {"two", "three", "keyword"}) CHECK(body_of("start_response_variants", way) == "ok");
}

TEST_CASE("what start_response cannot take is refused at the call (WSGI 28, 29, 30)") {
  auto application = python().load("start_response_wrong");
  REQUIRE(application);
  const std::pair<const char*, const char*> cases[] = {
      {"status-bytes", "TypeError: start_response: status must be str, not bytes"},
      {"status-wide", "ValueError: start_response: status has characters above U+00FF"},
      {"headers-tuple", "TypeError: start_response: headers must be a list"},
      {"item-list", "TypeError: start_response: headers[0] must be a (name, value) tuple"},
      {"item-three", "TypeError: start_response: headers[0] must be a (name, value) tuple"},
      {"value-int", "TypeError: start_response: headers[0] must be two str, not (str, int)"},
      {"value-bytes", "TypeError: start_response: headers[0] must be two str, not (str, bytes)"},
      {"value-wide", "ValueError: start_response: headers[0] has characters above U+00FF"},
      {"value-newline", "ValueError: start_response: header value of 'A' contains a line feed"},
      {"no-headers", "TypeError: start_response() takes status"},
      {"four", "TypeError: start_response() takes status"},
      {"unknown-keyword", "TypeError: start_response() got an unexpected keyword argument 'status'"},
      {"twice", "RuntimeError: start_response() called a second time without exc_info"},
      {"exc-info-true", "TypeError: start_response: exc_info is not what sys.exc_info() gives"},
  };
  for (const auto& [query, expected] : cases) {
    FakeSink sink;
    auto failure = call(*application, query, sink);
    INFO(query << ": " << (failure ? failure->summary : ""));
    CHECK(!failure);
    CHECK_THAT(sink.body, ContainsSubstring(expected));
    CHECK(sink.status == (std::string(query) == "twice" ? "200 OK" : "500 Told"));
  }
}

TEST_CASE("exc_info before any byte replaces status and all headers (WSGI 31)") {
  auto application = python().load("replaced_head");
  REQUIRE(application);
  FakeSink sink;
  REQUIRE(!call(*application, "", sink));
  CHECK(sink.status == "500 Replaced");
  CHECK(sink.fields == std::vector<std::pair<std::string, std::string>>{{"X-Second", "2"}});
  CHECK(sink.body == "error page");
}

TEST_CASE("an empty item sends no head, so it may still be replaced (WSGI 33)") {
  auto application = python().load("replaced_head_after_empty_item");
  REQUIRE(application);
  FakeSink sink;
  REQUIRE(!call(*application, "", sink));
  CHECK(sink.status == "500 Replaced");
  CHECK(sink.field("X-First").empty());
  CHECK(sink.body == "error page");
}

TEST_CASE("exc_info after the head went out raises the exception again (WSGI 32)") {
  auto application = python().load("too_late_exc_info");
  REQUIRE(application);
  FakeSink sink;
  auto failure = call(*application, "", sink);
  REQUIRE(failure);
  CHECK(failure->summary == "KeyError: 'too late'");
  CHECK_THAT(failure->traceback, ContainsSubstring("in too_late_exc_info"));
  CHECK(sink.status == "200 OK");
  CHECK(sink.body == "begun");
}

TEST_CASE("an application that swallows that exception still fails (WSGI 32)") {
  auto application = python().load("too_late_exc_info_swallowed");
  REQUIRE(application);
  FakeSink sink;
  auto failure = call(*application, "", sink);
  REQUIRE(failure);
  CHECK_THAT(failure->summary, ContainsSubstring("start_response"));
}

TEST_CASE("start_response may come with the first item (WSGI 34)") { CHECK(body_of("lazy_start") == "onetwo"); }

TEST_CASE("an answer without start_response is a failure (WSGI 35)") {
  for (const char* name : {"no_start_response", "no_start_response_at_all", "items_without_start"}) {
    auto application = python().load(name);
    REQUIRE(application);
    FakeSink sink;
    auto failure = call(*application, "", sink);
    REQUIRE(failure);
    CHECK_THAT(failure->summary, ContainsSubstring("start_response"));
    CHECK(sink.body.empty());
  }
}

TEST_CASE("write() gives its bytes to the kernel before it returns, before the iterable's (WSGI 27)") {
  auto application = python().load("written_then_returned");
  REQUIRE(application);
  FakeSink sink;
  REQUIRE(!call(*application, "", sink));
  CHECK(sink.body == "one two three");
  CHECK(sink.flushed == std::vector<std::string>{"one ", "one two "});
  CHECK(!sink.length);  // never made up for an answer that began with write() (WSGI 38)
}

TEST_CASE("write() takes bytes only (WSGI 27)") {
  auto application = python().load("write_str");
  REQUIRE(application);
  FakeSink sink;
  auto failure = call(*application, "", sink);
  REQUIRE(failure);
  CHECK(failure->summary == "TypeError: write() takes bytes, not str");
}

TEST_CASE("write() tells the application that the client is gone, which is no failure") {
  auto application = python().load("write_until_gone");
  REQUIRE(application);
  FakeSink sink;
  sink.flushes_until_gone = 3;
  CHECK(!call(*application, "", sink));
  CHECK(sink.writes == 4);
}

TEST_CASE("start_response and write() of an earlier request raise") {
  auto application = python().load("write_kept");
  REQUIRE(application);
  FakeSink first, second;
  REQUIRE(!call(*application, "", first));
  REQUIRE(!call(*application, "", second));
  CHECK(second.body ==
        "['stint.start_response() called after its request was over', 'stint.write() called after its request was "
        "over']");
  CHECK(first.writes == 1);
}

TEST_CASE("a second thread cannot touch the answer while it is being sent") {
  auto application = python().load("other_thread_while_flushing");
  REQUIRE(application);
  int to_thread[2], from_thread[2];
  REQUIRE((::pipe(to_thread) == 0 && ::pipe(from_thread) == 0));
  FakeSink sink;
  bool is_first = true;
  sink.during_flush = [&] {
    char byte = 'x';
    if (std::exchange(is_first, false)) {
      CHECK(::write(to_thread[1], &byte, 1) == 1);
      CHECK(::read(from_thread[0], &byte, 1) == 1);
    }
  };
  REQUIRE(!call(*application, std::to_string(to_thread[0]) + "," + std::to_string(from_thread[1]), sink));
  CHECK(sink.body ==
        "onestint.write() called while the answer is being sent; "
        "stint.start_response() called while the answer is being sent");
  CHECK(sink.status == "200 OK");
  for (int fd : {to_thread[0], to_thread[1], from_thread[0], from_thread[1]}) ::close(fd);
}
