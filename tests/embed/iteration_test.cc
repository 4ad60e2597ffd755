#include "tests/embed/embedded_python.h"
#include "tests/support/catch.h"

using namespace stint;
using namespace stint::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::unique_ptr<Application> load(const char* name) {
  auto application = python().load(name);
  INFO(python().failure.summary);
  REQUIRE(application);
  return application;
}

// What the application's iterable has noticed of the last call.
std::string events() { return body_of("show_events"); }

}  // namespace

TEST_CASE("each item is with the kernel before the next is asked for (WSGI 37)") {
  auto application = load("items_three");
  FakeSink sink;
  REQUIRE(!call(*application, "", sink));
  CHECK(sink.flushed == std::vector<std::string>{"one", "onetwo", "onetwothree"});
  CHECK(events() == "item 1, item 2, item 3, item 4, exhausted, close");
}

TEST_CASE("a list of one item gets its length and no flush inside the call (WSGI 38)") {
  for (const char* name : {"nothing_kept", "tuple_of_one"}) {
    auto application = load(name);
    FakeSink sink;
    REQUIRE(!call(*application, "", sink));
    CHECK(sink.length == sink.body.size());
    CHECK(sink.flushed.empty());
    CHECK(sink.writes == 1);
  }
}

TEST_CASE("a list of several items and an empty one have a known length, too") {
  FakeSink two, none;
  REQUIRE(!call(*load("list_of_two"), "", two));
  CHECK(two.body == "onetwo");
  CHECK(two.length == 6U);
  CHECK(two.flushed.empty());
  REQUIRE(!call(*load("empty_list"), "", none));
  CHECK(none.has_head());
  CHECK(none.length == 0U);
}

TEST_CASE("an empty list for HEAD says nothing of the length of the GET (WSGI 42)") {
  FakeSink empty, body;
  REQUIRE(!call(*load("empty_list"), TestRequest{.method = "HEAD"}, empty));
  CHECK(!empty.length);
  REQUIRE(!call(*load("nothing_kept"), TestRequest{.method = "HEAD"}, body));
  CHECK(body.length == 2U);
  CHECK(body.body.empty());
}

TEST_CASE("an iterable that completes its Content-Length is asked for nothing more (WSGI 40)") {
  FakeSink all, two;
  REQUIRE(!call(*load("items_first_is_all"), "", all));
  CHECK(all.body == "one");
  CHECK(all.flushed.empty());
  CHECK(events() == "item 1, close");
  REQUIRE(!call(*load("items_with_length"), "", two));
  CHECK(two.body == "onetwo");
  CHECK(two.flushed == std::vector<std::string>{"one"});
  CHECK(events() == "item 1, item 2, close");
}

TEST_CASE("HEAD ends the iteration at the first item and closes (WSGI 39, 42)") {
  FakeSink sink;
  REQUIRE(!call(*load("items_three"), TestRequest{.method = "HEAD"}, sink));
  CHECK(sink.body.empty());
  CHECK(events() == "item 1, close");
}

TEST_CASE("a client that is gone ends the iteration, and close() is called (WSGI 39)") {
  FakeSink sink;
  sink.flushes_until_gone = 1;
  CHECK(!call(*load("items_three"), "", sink));
  CHECK(events() == "item 1, item 2, item 3, close");
}

TEST_CASE("any iterable is taken (WSGI 38, 48)") {
  CHECK(body_of("old_sequence") == "abc");
  CHECK(body_of("empty_generator").empty());
  CHECK(body_of("ClassApplication") == "from a class");
  CHECK(body_of("callable_object.application") == "from an object");
  CHECK(body_of("partial") == "from a partial");
}

TEST_CASE("items that are not bytes are failures, before anything is sent (WSGI 36)") {
  const std::pair<const char*, const char*> cases[] = {
      {"list_with_str", "TypeError: the application's iterable gave str"},
      {"list_with_bytearray", "gave bytearray, not bytes"},
      {"items_str", "TypeError: the application's iterable gave str"},
      {"returns_bytes", "TypeError: the application returned bytes"},
      {"returns_none", "TypeError: the application returned NoneType"},
      {"returns_int", "TypeError: 'int' object is not iterable"}};
  for (const auto& [name, expected] : cases) {
    FakeSink sink;
    auto failure = call(*load(name), "", sink);
    REQUIRE(failure);
    CHECK_THAT(failure->summary, ContainsSubstring(expected));
    CHECK(sink.writes == 0);
  }
}

TEST_CASE("close() is called once after an exception in the iteration, and not the iterator's (WSGI 39, 47)") {
  FakeSink sink;
  auto failure = call(*load("items_fail"), "", sink);
  REQUIRE(failure);
  CHECK(failure->summary == "ZeroDivisionError: in the middle");
  CHECK_THAT(failure->traceback, ContainsSubstring("in __next__"));
  CHECK(sink.body == "one");
  CHECK(events() == "item 1, close");
}

TEST_CASE("an exception in close() is logged and leaves the answer whole (WSGI 39)") {
  FakeSink sink;
  CHECK(!call(*load("items_close_fails"), TestRequest{.id = "r9"}, sink));
  CHECK(sink.body == "one");
  auto lines = python().log.lines();
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].fields["text"] == "close() of the answer's iterable raised RuntimeError: close failed");
  CHECK(lines[0].fields["request"] == "r9");
  CHECK_THAT(lines[0].detail, ContainsSubstring("in close"));
}

TEST_CASE("every exception of the application is a failure with its traceback, and none escapes (WSGI 46, 47)") {
  auto application = load("raises");
  const std::pair<const char*, const char*> cases[] = {{"zero", "ZeroDivisionError: division by zero"},
                                                       {"exit", "SystemExit: 3"},
                                                       {"interrupt", "KeyboardInterrupt"},
                                                       {"generator", "GeneratorExit"},
                                                       {"base", "BaseException: base"},
                                                       {"lines", "ValueError: first"},
                                                       {"wide", "ValueError: \xe2\x82\xac \\udc80"},
                                                       {"unprintable", "wsgi_cases.Unprintable: <its str() raised>"}};
  for (const auto& [query, summary] : cases) {
    FakeSink sink;
    auto failure = call(*application, query, sink);
    REQUIRE(failure);
    CHECK(failure->summary == summary);
    CHECK_THAT(failure->traceback, ContainsSubstring("in raises"));
    CHECK(!sink.has_head());
  }
  CHECK(body_of("exc_info_now") == "(None, None, None)");
}

TEST_CASE("each request has a fresh context, one for call and iteration (WSGI 54)") {
  auto application = load("context_variable");
  for (int i = 0; i < 2; ++i) {
    FakeSink sink;
    REQUIRE(!call(*application, "", sink));
    CHECK(sink.body == "unset set");
  }
}

TEST_CASE("bytes that the sink keeps live until it lets go of them, from any thread") {
  auto application = load("bytes_of_size");
  FakeSink sink;
  sink.keeps_chunks = true;
  REQUIRE(!call(*application, "100000", sink));
  REQUIRE(sink.kept.size() == 1);
  CHECK(body_of("references_of_kept") == "2");  // the application's and the sink's
  sink.kept[0].release(sink.kept[0].owner);
  application->tidy();
  CHECK(body_of("references_of_kept") == "1");
}

TEST_CASE("what the sink has let go of is gone before the next item is asked for") {
  for (const char* name : {"pieces", "pieces_written"}) {
    FakeSink sink;
    sink.keeps_chunks = true;
    sink.during_flush = [&sink] {  // as the worker, when the kernel has taken the last byte
      for (BodyChunk& chunk : sink.kept) chunk.release(chunk.owner);
      sink.kept.clear();
    };
    REQUIRE(!call(*load(name), "", sink));
    CHECK(sink.body.size() == 400'000);
    CHECK(body_of("pieces_alive") == "[0, 0, 0, 0]");
  }
}

TEST_CASE("what is said of an exception of any size has room in a log") {
  auto application = load("raises");
  FakeSink sink;
  auto failure = call(*application, "long", sink);
  REQUIRE(failure);
  CHECK(failure->summary.size() <= 4 * 1024);
  CHECK(failure->summary.size() > 4 * 1000);
  CHECK(failure->summary.starts_with("ValueError: \xe2\x82\xac"));
  CHECK(failure->summary.ends_with("\xe2\x82\xac"));  // no half of one
  CHECK(failure->traceback.size() <= 65 * 1024);
  CHECK(failure->traceback.size() > 60 * 1024);
  CHECK(failure->traceback.starts_with("Traceback (most recent call last)"));
  CHECK(failure->traceback.ends_with("\nthe end\n"));
  CHECK_THAT(failure->traceback, ContainsSubstring("characters is left out"));
}
