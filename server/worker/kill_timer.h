// A limit that holds whatever its process is doing: when the time is over the kernel kills it (timer_create(2) with
// SIGKILL). Of a worker or a zygote, for what only its supervisor limits otherwise: code of the application that the
// process cannot leave by itself, while it starts and while it retires. The supervisor is 5 s earlier, and logs why;
// the timer is for the time when there is none any more. Children do not inherit it, nor does exec(2).
#pragma once

#include "stint/log.h"
#include "stint/result.h"

#include <chrono>
#include <ctime>
#include <optional>

namespace stint::worker {

class KillTimer {
 public:
  KillTimer() = default;
  ~KillTimer() { disarm(); }
  KillTimer(const KillTimer&) = delete;
  KillTimer& operator=(const KillTimer&) = delete;

  // REQUIRES: not armed; `limit` is more than 0. Error: EAGAIN, where the user has as many timers and queued signals as
  // RLIMIT_SIGPENDING allows (getrlimit(2)); the process has no limit then.
  Result<void> arm(std::chrono::milliseconds limit);
  // For what the supervisor ends after `its_limit`; 0: never. Where there is no timer the log says so, and that one
  // counts alone.
  void arm_behind_supervisor(std::chrono::milliseconds its_limit, Log& log);
  // In the process that has armed it.
  void disarm();

 private:
  std::optional<timer_t> timer_;
};

}  // namespace stint::worker
