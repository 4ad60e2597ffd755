#include "tests/embed/embedded_python.h"
#include "tests/support/catch.h"
#include "tests/support/eventually.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

using namespace stint;
using namespace stint::test;

namespace {

bool runs() { return body_of("what_runs").starts_with("(True"); }

// A call on a thread of its own.
struct OtherCall {
  OtherCall(Application& application, const std::string& query)
      : number(++calls), thread([&application, query, this] {
          application.prepare_thread();
          id = ::gettid();
          TestRequest request{.target = "/?" + query};
          request.number = number;
          failure = call(application, request, sink);
          is_over = true;
        }) {}
  ~OtherCall() { thread.join(); }
  static inline std::uint64_t calls = 0;
  const std::uint64_t number;
  FakeSink sink;
  std::optional<ApplicationFailure> failure;
  std::atomic<pid_t> id{0};
  std::atomic<bool> is_over{false};
  std::thread thread;
};

}  // namespace

TEST_CASE("an interruption is raised in the call that it is for, as a BaseException (issue 7)") {
  auto application = python().load("computes_for_ever");
  REQUIRE(application);
  const auto [why, name] =
      GENERATE(std::pair<Interruption, std::string>{Interruption::timed_out, "RequestTimeout"},
               std::pair<Interruption, std::string>{Interruption::client_gone, "ClientDisconnected"});
  for (const std::string way : {"answer", "raise", "raise_another"}) {
    auto one = std::make_unique<OtherCall>(*application, way);
    REQUIRE(eventually(runs));
    application->interrupt(one->number - 1, why);  // it is over
    CHECK_FALSE(one->is_over);
    application->interrupt(one->number, why);
    application->interrupt(one->number, why);
    REQUIRE(eventually([&] { return one->is_over.load(); }));
    CHECK(one->sink.body == (way == "answer" ? "stint." + name + " False" : ""));
    // One that ends the call is no failure of the application's.
    CHECK(one->failure.has_value() == (way == "raise_another"));
    if (one->failure) CHECK(one->failure->summary == "ValueError: while being interrupted");
  }
  // Nothing is left over for the next call, on whichever thread.
  for (int i = 0; i < 3; ++i) CHECK(body_of("hello") == "hello\n");
}

TEST_CASE("close() is not interrupted (issue 7)") {
  auto application = python().load("closes_slowly");
  REQUIRE(application);
  OtherCall one(*application, "");
  REQUIRE(eventually([&] {
    application->interrupt(one.number, Interruption::timed_out);
    return one.is_over.load();
  }));
  CHECK_FALSE(one.failure.has_value());
  CHECK((one.sink.body == "given" || one.sink.body.empty()));
  if (one.sink.body == "given") CHECK(body_of("what_runs") == "(True, True)");
}

TEST_CASE("an interruption that comes too late to be raised is taken back (issue 7)") {
  auto application = python().load("closes_slowly");
  REQUIRE(application);
  FakeSink sink;
  sink.flushes_until_gone = 0;  // the call ends with this flush, and close() is all that runs yet
  sink.during_flush = [&] {
    application->interrupt(7, Interruption::timed_out);
    std::this_thread::sleep_for(100ms);  // it is set, most likely
  };
  TestRequest request;
  request.number = 7;
  CHECK_FALSE(call(*application, request, sink).has_value());
  CHECK(body_of("what_runs") == "(True, True)");
}

// Not under ThreadSanitizer, which keeps a signal from a thread until that makes a call that it intercepts: one that
// only computes never does.
#ifndef __SANITIZE_THREAD__
namespace {
ThreadProbe probe;
std::atomic<int> asked{0};
std::atomic<bool> held{false};
void on_asked(int) {
  const int saved = errno;
  held = probe.holds_lock();
  probe.write_stack();
  ++asked;
  errno = saved;
}
}  // namespace

TEST_CASE("a thread writes its own stack from a signal's handler, and whether it holds the GIL (issue 7)") {
  auto application = python().load("computes_for_ever");
  REQUIRE(application);
  const int signal = SIGRTMAX - 2;
  const int file = ::memfd_create("stack", MFD_CLOEXEC);
  const auto made = python().runtime->probe_threads(signal, file);
  REQUIRE(made.has_value());
  probe = *made;
  struct sigaction action{};
  action.sa_handler = on_asked;
  action.sa_flags = SA_RESTART;
  REQUIRE(::sigaction(signal, &action, nullptr) == 0);
  const auto stack_of = [&](pid_t thread) {
    REQUIRE(::ftruncate(file, 0) == 0);
    ::lseek(file, 0, SEEK_SET);
    const int before = asked;
    REQUIRE(::tgkill(::getpid(), thread, signal) == 0);
    REQUIRE(eventually([&] { return asked > before; }));
    std::string text(10'000, '\0');
    text.resize(static_cast<std::size_t>(::pread(file, text.data(), text.size(), 0)));
    return text;
  };

  OtherCall one(*application, "answer");
  REQUIRE(eventually(runs));
  const std::string stack = stack_of(one.id);
  CHECK(stack.find("(most recent call first):") != std::string::npos);
  CHECK(stack.find("wsgi_cases.py\", line ") != std::string::npos);
  CHECK(stack.find(" in computes_for_ever\n") != std::string::npos);
  CHECK(eventually([&] { return stack_of(one.id), held.load(); }));  // nobody else wants it
  stack_of(::gettid());
  CHECK_FALSE(held);
  application->interrupt(one.number, Interruption::timed_out);
}
#endif
