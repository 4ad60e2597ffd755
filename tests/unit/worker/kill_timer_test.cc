#include "server/worker/kill_timer.h"

#include "server/control/signals_blocked.h"
#include "tests/support/catch.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace std::chrono_literals;
using stint::worker::KillTimer;

namespace {

// How a child ends that does this: as WEXITSTATUS, or as 128 and the signal.
template <class Life>
int end_of(Life life) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(life());
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

TEST_CASE("a process is killed when its time is over, with all signals blocked and a loop that never ends") {
  CHECK(end_of([] {
          const stint::control::SignalsBlocked blocked;
          KillTimer timer;
          if (!timer.arm(50ms).has_value()) return 1;
          for (volatile bool goes_on = true; goes_on;) {
          }
          return 0;
        }) == 128 + SIGKILL);
}

TEST_CASE("a process that disarms its timer goes on") {
  CHECK(end_of([] {
          {
            KillTimer timer;
            if (!timer.arm(50ms).has_value()) return 1;
          }
          ::usleep(200'000);
          return 7;
        }) == 7);
}

TEST_CASE("a child of a process that is killed so goes on") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  CHECK(end_of([&] {
          KillTimer timer;
          if (!timer.arm(50ms).has_value()) return 1;
          if (::fork() == 0) {
            ::usleep(200'000);
            ::_exit(::write(ends[1], "x", 1) == 1 ? 0 : 1);
          }
          for (;;) ::pause();
        }) == 128 + SIGKILL);
  ::close(ends[1]);
  char word = 0;
  CHECK(::read(ends[0], &word, 1) == 1);
  ::close(ends[0]);
}

TEST_CASE("where the kernel has no timer left that is an error") {
  CHECK(end_of([] {
          const rlimit none{0, 0};
          if (::setrlimit(RLIMIT_SIGPENDING, &none) != 0) return 1;
          KillTimer timer;
          const auto armed = timer.arm(50ms);
          ::usleep(100'000);
          return !armed.has_value() && armed.error().code.value() == EAGAIN ? 7 : 0;
        }) == 7);
}

}  // namespace
