#include "tests/embed/embedded_python.h"
#include "tests/support/catch.h"
#include "tests/support/eventually.h"

#include <future>
#include <thread>

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

TEST_CASE("other threads run while the log is slow to take what a call has left in wsgi.errors (WSGI 59)") {
  const std::string way = GENERATE("return", "raise");
  auto application = python().load("errors_left_over");
  auto other = python().load("nothing_kept");
  REQUIRE((application && other));
  std::promise<void> ran;
  std::thread thread;
  bool has_run = false;
  python().log.during_write = [&] {
    thread = std::thread([&] {
      FakeSink its_own;
      call(*other, "", its_own);
      ran.set_value();
    });
    has_run = ran.get_future().wait_for(patience) == std::future_status::ready;
  };
  const std::size_t before = python().log.lines().size();
  FakeSink sink;
  call(*application, way, sink);
  python().log.during_write = nullptr;
  if (thread.joinable()) thread.join();
  CHECK(has_run);
  auto lines = python().log.lines();
  REQUIRE(lines.size() == before + 1);
  CHECK(lines.back().fields["text"] == (way == "raise" ? "left over" : "left over, and more"));
}

TEST_CASE("one write stays together, however long it is and whoever else writes (WSGI 16)") {
  auto application = python().load("errors_long");
  auto other = python().load("errors_of_other");
  REQUIRE((application && other));
  python().log.during_write = [&] {
    python().log.during_write = nullptr;
    std::thread([&] {
      FakeSink its_own;
      call(*other, "", its_own);
    }).join();
  };
  const std::size_t before = python().log.lines().size();
  FakeSink sink;
  REQUIRE(!call(*application, "", sink));
  auto lines = python().log.lines();
  REQUIRE(lines.size() == before + 3);
  CHECK(lines.back().fields["text"] == std::string(20'000, 'b'));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // a sanitizer maps tebibytes
TEST_CASE("a text as large as the memory goes to the log in pieces, and does not end the process") {
  auto application = python().load("errors_huge");
  REQUIRE(application);
  python().log.keeps_lines = false;
  python().log.longest_text = 0;
  FakeSink sink;
  auto failure = call(*application, "", sink);
  python().log.keeps_lines = true;
  INFO((failure ? failure->traceback : ""));
  REQUIRE(!failure);
  CHECK(sink.body == "[67108864, None]");
  CHECK(python().log.longest_text <= 64 * 1024);
  CHECK(python().log.longest_text > 60 * 1024);
}
#endif
