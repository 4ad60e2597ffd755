// The threads of a worker that take turns at its event loop (LoopLease): those that call the application
// (app.workers.threads), the process's main thread the first of them, and one that stands in for them while all are
// inside calls. It and the monitor never touch Python.
//
// Each runs the same: while it leads, it waits for events and serves them, a call inline where one is due; come back
// from a call after which it does not lead any more, it serves what has queued and stands by.
#pragma once

#include "server/worker/loop_lease.h"
#include "stint/result.h"

#include <deque>
#include <functional>
#include <thread>
#include <vector>

namespace stint::worker {

// What there is to do besides the loop's events. Called with the lease.
class CrewWork {
 public:
  virtual bool has_waiting() = 0;    // a request waits for a thread that calls the application
  virtual void serve_waiting() = 0;  // one of them, when this thread does; and what is due after each step
  virtual bool is_over() = 0;        // the first thread shall leave; no call runs

 protected:
  ~CrewWork() = default;
};

class Crew {
 public:
  // The thread that makes it is the first of `callers`; it leads. `prepare` is what each of the others does before its
  // first turn. All arguments outlive the crew.
  Crew(EventLoop& loop, CrewWork& work, unsigned callers, std::function<void()> prepare);
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;
  ~Crew();

  LoopLease& lease() { return lease_; }
  // Starts the other threads; once.
  Result<void> start();
  // The first thread's turns. Returns, leading, when the work is over; the others stand by then, or are on their way.
  void run() { take_turns(first_); }

 private:
  // Nothing that is thrown gets out: to unwind a worker whose other threads go on would destroy what they use. It ends,
  // and its keeper sees to the connections.
  void take_turns(LoopThread& me) noexcept;
  bool has_better_leader(const LoopThread& me);
  void fetch_events(LoopThread& me);

  EventLoop& loop_;
  CrewWork& work_;
  const std::function<void()> prepare_;
  LoopThread first_{true};
  LoopThread stand_in_{false};
  std::deque<LoopThread> others_;
  LoopLease lease_{loop_, first_};
  std::vector<std::thread> threads_;
};

}  // namespace stint::worker
