#include "server/worker/kill_timer.h"

#include "stint/assert.h"

#include <csignal>

namespace stint::worker {

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

void KillTimer::disarm() {
  if (timer_) ::timer_delete(*timer_);
  timer_.reset();
}

}  // namespace stint::worker
