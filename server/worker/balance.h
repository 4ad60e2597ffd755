// Balancing without a router: a worker that can start nothing more, because all its threads are inside calls that have
// outlasted the lease, leaves the next ones to workers that are idle (control::IdleWorkers). While one is, it accepts
// nothing, and requests that are complete here go to the pool's inbox with their connections: as many as there are idle
// workers, which take one each. Where nobody is idle requests wait here, in their order, and are offered again soon.
//
// Guarded by the lease of the event loop. A worker whose calls are short comes here after each step for two
// comparisons.
#pragma once

#include "server/control/idle_workers.h"
#include "server/worker/acceptor.h"
#include "server/worker/connection_services.h"
#include "server/worker/deadlines.h"

namespace stint::worker {

class Balance final : private Timed {
 public:
  // All arguments outlive it.
  Balance(ConnectionServices& services, Acceptor& acceptor, control::IdleWorkers& idle);

  // After each step of the loop.
  void look();
  // Says whether this worker is idle: when that changes, and once a second, because it holds for little longer.
  void announce();

 private:
  void on_deadline() override { relieve(); }
  void relieve();
  bool could_start() const;

  ConnectionServices& services_;
  Acceptor& acceptor_;
  control::IdleWorkers& idle_;
  DeadlineList offering_;
  bool is_stuck_ = false;
};

}  // namespace stint::worker
