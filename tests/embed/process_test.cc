#include "tests/embed/embedded_python.h"
#include "tests/support/catch.h"

#include <thread>

using namespace stint;
using namespace stint::test;

TEST_CASE("a child that the application forks ends without touching the answer (WSGI 57)") {
  const std::pair<const char*, const char*> cases[] = {{"return", "0"}, {"write", "0"}, {"raise", "1"}, {"exit", "7"}};
  for (const auto& [way, status] : cases) {
    CHECK(body_of("forks", way) == std::string("(b'printed by the child\\n', ") + status + ")");
  }
  CHECK(body_of("forks", "message") == "(b'printed by the child\\nnothing to do\\n', 1)");
  CHECK(body_of("forks_in_the_iterable") == "parent 0");
}

TEST_CASE("subprocesses work in the application (WSGI 55)") {
  CHECK(body_of("subprocess_runs") == "from a subprocess\n");
}

TEST_CASE("threading.local lasts on a thread from request to request (WSGI 53)") {
  auto application = python().load("thread_local");
  REQUIRE(application);
  auto count = [&] {
    FakeSink sink;
    REQUIRE(!call(*application, "", sink));
    return sink.body;
  };
  CHECK(count() == "1");
  CHECK(count() == "2");
  std::string first, second;
  std::thread([&] {
    first = count();
    second = count();
  }).join();
  CHECK(first == "1");
  CHECK(second == "2");
  CHECK(count() == "3");
}

TEST_CASE("other threads of the application run while the sink waits for a slow client (WSGI 59)") {
  auto application = python().load("items_three");
  REQUIRE(application);
  FakeSink sink;
  std::string meanwhile;
  auto other = python().load("nothing_kept");
  sink.during_flush = [&] {
    if (!meanwhile.empty()) return;
    std::thread([&] {
      FakeSink its_own;
      call(*other, "", its_own);
      meanwhile = its_own.body;
    }).join();
  };
  REQUIRE(!call(*application, "", sink));
  CHECK(meanwhile == "ok");
}

TEST_CASE("two calls at the same time have each their own answer (issue 7)") {
  auto application = python().load("together");
  REQUIRE(application);
  FakeSink one, other;
  bool has_failed = false;
  std::thread thread([&] {
    application->prepare_thread();
    has_failed = call(*application, "other", other).has_value();
  });
  const bool has_one_failed = call(*application, "one", one).has_value();
  thread.join();
  CHECK_FALSE(has_one_failed);
  CHECK_FALSE(has_failed);
  for (const auto& [sink, mark] : {std::pair<const FakeSink&, std::string>{one, "one"}, {other, "other"}}) {
    CHECK(sink.body == mark);
    CHECK(sink.field("X-Mark") == mark);
    REQUIRE(sink.hints.size() == 2);
    CHECK(sink.hints[0].second == mark);
    CHECK(sink.hints[1].second == mark);
  }
}

TEST_CASE("wsgi.multithread is true when more than one thread calls (issue 7)") {
  CHECK(body_of("says_multithread") == "False");
  python().app.workers.threads = 2;
  CHECK(body_of("says_multithread") == "True");
  python().app.workers.threads = 1;
}
