#include "server/worker/tracer.h"

#include "tests/support/catch.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <csignal>
#include <thread>

using namespace std::chrono_literals;
using namespace stint;
using worker::EventLoop;
using worker::ThreadTrace;
using worker::Tracer;

namespace {

int stack_file = -1;
std::atomic<pid_t> holder{0};

// A runtime whose threads have their number for a stack.
struct FakeRuntime final : Runtime {
  std::unique_ptr<Application> load(std::vector<StartStep>&, LoadFailure&) override { return nullptr; }
  void shut_down() override {}
  void settle_for_forks() override {}
  std::vector<NamedThread> threads() override { return {}; }
  pid_t fork(unsigned, const std::function<pid_t()>&) override { return -1; }
  Result<ThreadProbe> probe_threads(int, int file) override {
    stack_file = file;
    return ThreadProbe{[] { return ::gettid() == holder.load(); },
                       [] {
                         char text[16];
                         char* end = std::to_chars(text, text + sizeof text - 1, ::gettid()).ptr;
                         *end++ = '\n';
                         static_cast<void>(!::write(stack_file, text, static_cast<std::size_t>(end - text)));
                       }};
  }
};

// Waits in a system call, with or without signals.
class Sleeper {
 public:
  explicit Sleeper(bool takes_signals) {
    thread_ = std::thread([this, takes_signals] {
      if (!takes_signals) {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
      }
      id = ::gettid();
      while (!may_end) std::this_thread::sleep_for(1ms);
    });
    while (id == 0) std::this_thread::yield();
  }
  ~Sleeper() {
    may_end = true;
    thread_.join();
  }
  std::atomic<pid_t> id{0};

 private:
  std::atomic<bool> may_end{false};
  std::thread thread_;
};

}  // namespace

TEST_CASE("each thread is asked in its turn for its own stack, and who holds the lock (issue 7)", "[worker]") {
  auto loop = EventLoop::make();
  REQUIRE(loop.has_value());
  FakeRuntime runtime;
  auto tracer = Tracer::make(**loop, runtime);
  REQUIRE(tracer.has_value());
  Sleeper one(true), other(true), deaf(false);
  std::vector<ThreadTrace> traces;
  const auto keep = [&](const ThreadTrace& trace) { traces.push_back(trace); };

  holder = other.id.load();
  for (const pid_t thread : {one.id.load(), other.id.load(), deaf.id.load(), ::gettid(), pid_t{1 << 22}})
    (*tracer)->trace(thread, keep);
  CHECK(traces.empty());
  while (traces.size() < 5) (*loop)->step();
  for (const std::size_t i : {0U, 1U, 3U}) {
    CHECK(traces[i].has_answered);
    CHECK(traces[i].stack == std::to_string(traces[i].thread) + "\n");
    CHECK(traces[i].lock_holder == other.id.load());
  }
  // One that blocks all signals, and one that is not there.
  for (const std::size_t i : {2U, 4U}) {
    CHECK_FALSE(traces[i].has_answered);
    CHECK(traces[i].stack.empty());
  }

  holder = 0;
  (*tracer)->trace(one.id, keep);
  while (traces.size() < 6) (*loop)->step();
  CHECK(traces[5].lock_holder == 0);
}
