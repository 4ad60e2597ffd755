#include "server/worker/kill_timer.h"

#include "stint/assert.h"

#include <csignal>

namespace stint::worker {

namespace {
// How much later than the supervisor a process ends itself.
constexpr std::chrono::milliseconds supervisor_first{5'000};
}  // namespace

Result<void> KillTimer::arm(std::chrono::milliseconds limit) {
  STINT_ASSERT(!timer_ && limit.count() > 0);
  sigevent kill{};
  kill.sigev_notify = SIGEV_SIGNAL;
  kill.sigev_signo = SIGKILL;
  timer_t timer{};
  if (::timer_create(CLOCK_MONOTONIC, &kill, &timer) != 0) return system_error("limit this process by a timer");
  timer_ = timer;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit);
  itimerspec once{};
  once.it_value.tv_sec = seconds.count();
  once.it_value.tv_nsec = std::chrono::nanoseconds(limit - seconds).count();
  if (::timer_settime(timer, 0, &once, nullptr) != 0) return system_error("limit this process by a timer");
  return {};
}

void KillTimer::arm_behind_supervisor(std::chrono::milliseconds its_limit, Log& log) {
  if (its_limit.count() == 0) return;
  const Result<void> armed = arm(its_limit + supervisor_first);
  if (armed.has_value()) return;
  log.warning("no limit of its own", {{"error", armed.error().text()}, {"next", "going on with the supervisor's"}});
}

void KillTimer::disarm() {
  if (timer_) ::timer_delete(*timer_);
  timer_.reset();
}

}  // namespace stint::worker
