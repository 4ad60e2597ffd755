// Balancing without a router. A worker is stuck when it can start nothing more, because all its threads are inside
// calls that have outlasted the lease. Requests that are complete there go into the pool's inbox with their
// connections: it is the one queue of all workers, in the order in which they came. An idle worker takes the next one
// at once, and one whose call ends looks there before it turns to its own connections (control::IdleWorkers counts what
// waits). While another worker is idle, a stuck one accepts nothing.
//
// Calls that are short never make a worker stuck, however many connections it has. So while there is any load it is
// evened out, four times a second (even_load.h).
//
// Requests wait in the worker itself where no other serves the pool, and when so many wait in the inbox that it would
// have no room for what retiring workers put there. They are offered again soon.
//
// Guarded by the lease of the event loop. A worker whose calls are short comes here after each step for three
// comparisons.
#pragma once

#include "server/control/idle_workers.h"
#include "server/worker/acceptor.h"
#include "server/worker/connection_services.h"
#include "server/worker/deadlines.h"
#include "server/worker/even_load.h"

namespace stint::worker {

class Balance final : private Timed {
 public:
  // All arguments outlive it.
  Balance(ConnectionServices& services, Acceptor& acceptor, control::IdleWorkers& idle);

  // Something waits in the inbox for a worker whose calls may begin.
  bool has_waiting() const { return is_on_the_way_ || can_take(); }
  // Before a request that waits is served: the next of the inbox queues here.
  void take_waiting();
  // After each step of the loop.
  void look();
  // Says whether this worker is idle: when that changes, and once a second, because it holds for little longer.
  void announce();
  // Once a second: evening the load out begins, and goes on as long as there is any load here.
  void begin_to_even_out();

 private:
  void on_deadline() override { relieve(); }
  struct Evening final : Timed {
    explicit Evening(Balance& b) : balance(b) {}
    void on_deadline() override { balance.even_out(); }
    Balance& balance;
  };

  void relieve();
  void even_out();
  control::WorkLoad measure(TimePoint now);
  void give(double share);
  bool can_take() const { return idle_.waiting() > 0 && acceptor_.has_room(); }
  void look_for_the_rest(TimePoint now);

  ConnectionServices& services_;
  Acceptor& acceptor_;
  control::IdleWorkers& idle_;
  DeadlineList offering_;
  const std::size_t most_waiting_;
  bool is_stuck_ = false;
  bool is_on_the_way_ = false;  // back from one call, and, as it seems, to the next
  bool has_taken_ = false;      // from the inbox, the last time that requests waited here too
  // Of evening the load out.
  DeadlineList evening_every_;
  Evening evening_{*this};
  TimePoint evened_at_ = std::chrono::steady_clock::now();
  std::chrono::nanoseconds free_before_{0};
  bool has_given_ = false;  // the last time: what it did shows after the next period
  TimePoint looked_at_;     // when it looked for the rest
};

}  // namespace stint::worker
