#include "server/worker/balance.h"

#include <chrono>

namespace stint::worker {

namespace {
// How long what waits here may miss that another worker has become idle. A look costs less than a microsecond, the
// wake-up for it some ten.
constexpr std::chrono::milliseconds offering_every{2};
}  // namespace

Balance::Balance(ConnectionServices& services, Acceptor& acceptor, control::IdleWorkers& idle)
    : services_(services), acceptor_(acceptor), idle_(idle), offering_(offering_every) {
  services_.loop.add(offering_);
}

void Balance::look() {
  const bool calls = services_.lease.holder().calls_application;
  if (calls && !is_stuck_ && idle_.says_idle()) return;
  if (!calls) {
    is_stuck_ = true;
    idle_.say_busy();
    return relieve();
  }
  if (services_.dispatcher.has_waiting()) return;  // back from one call, and on the way to the next
  is_stuck_ = false;
  disarm();
  acceptor_.hold(false);
  announce();
}

void Balance::announce() { could_start() ? idle_.say_idle(std::chrono::steady_clock::now()) : idle_.say_busy(); }

bool Balance::could_start() const {
  return !is_stuck_ && acceptor_.is_open() && !services_.is_draining && !services_.table.is_full();
}

void Balance::relieve() {
  if (!is_stuck_ || services_.is_draining) return;
  const TimePoint now = services_.loop.now();
  bool is_another_idle = idle_.has_other(now);
  acceptor_.hold(is_another_idle);
  for (; is_another_idle && services_.dispatcher.has_waiting(); is_another_idle = idle_.has_other(now)) {
    idle_.sent();  // before it can be taken
    if (services_.dispatcher.hand_over_waiting()) continue;
    idle_.took();
    break;
  }
  offering_.arm(*this, now);
}

}  // namespace stint::worker
