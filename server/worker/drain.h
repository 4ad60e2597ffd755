// The end of a worker's serving: nothing new enters, what the application has begun is finished, and everything else
// goes to the pool's inbox, where another worker takes it: idle connections at once, the others as soon as their answer
// is out. While the inbox is full, answers announce the close instead. A server that stops has nobody to hand over to:
// its workers share what waits in the queues, each takes some in turn, and every answer announces the close. What is
// left after app.recycle.drain_timeout is closed, answers under way visibly; a process that is still there when
// Python's exit handlers have had their time is killed, by the supervisor or, without one, the kernel.
#pragma once

#include "server/worker/acceptor.h"
#include "server/worker/connection_services.h"
#include "server/worker/deadlines.h"
#include "server/worker/kill_timer.h"

#include <chrono>

namespace stint::worker {

class Drain final : private Timed {
 public:
  // `waits_for_timed_out`: for the calls too that have been answered without, until the time-out.
  Drain(ConnectionServices& services, Acceptor& acceptor, std::chrono::milliseconds timeout, bool waits_for_timed_out)
      : services_(services), acceptor_(acceptor), waits_for_timed_out_(waits_for_timed_out), limit_(timeout) {
    services_.loop.add(limit_);
    services_.loop.add(retrying_);
    services_.loop.add(taking_turns_);
  }

  // `is_stopping`: no later worker will take over, so what waits in the listeners and the inbox is taken, and idle
  // connections are closed after a second. `takes_waiting`: what waits in the listeners is taken first, and handed
  // over, because a listener goes. A second call can only make it a stop.
  void begin(bool is_stopping, bool takes_waiting = false);
  bool has_begun() const { return services_.is_draining; }
  bool is_over() const { return services_.is_draining && !is_taking_ && services_.table.is_empty(); }
  // After each step of the loop: what the inbox had no room for is tried again.
  void look();
  // Nothing is left but calls that have timed out. (Those that are interrupted are given the time to end.)
  bool waits_for_lost_calls() const;

 private:
  // Tries the inbox again after it was full.
  struct Retry final : Timed {
    explicit Retry(Drain& d) : drain(d) {}
    void on_deadline() override { drain.hand_over_all(); }
    Drain& drain;
  };
  struct Turn final : Timed {
    explicit Turn(Drain& d) : drain(d) {}
    void on_deadline() override { drain.take_turn(); }
    Drain& drain;
  };

  void on_deadline() override;
  void take_last(bool has_served, bool waits_for_inbox, bool takes_waiting);
  void take_turn();
  void end_turns();
  void hand_over_all();

  ConnectionServices& services_;
  Acceptor& acceptor_;
  bool waits_for_timed_out_;
  DeadlineList limit_;
  DeadlineList retrying_{std::chrono::milliseconds(5)};
  Retry retry_{*this};
  DeadlineList taking_turns_{std::chrono::milliseconds(2)};
  Turn turn_{*this};
  TimePoint stopping_since_;
  bool is_taking_ = false;
  KillTimer last_limit_;
};

}  // namespace stint::worker
