#include "server/worker/crew.h"

#include "server/control/signals_blocked.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <system_error>

namespace stint::worker {

Crew::Crew(EventLoop& loop, CrewWork& work, unsigned callers, std::function<void()> prepare)
    : loop_(loop), work_(work), prepare_(std::move(prepare)) {
  first_.begin_here();
  for (unsigned i = 1; i < callers; ++i) others_.emplace_back(true);
}

Result<void> Crew::start() {
  const auto run = [this](const std::string& name, auto life) {
    threads_.emplace_back(std::move(life));
    ::pthread_setname_np(threads_.back().native_handle(), name.c_str());
  };
  try {
    // With a caller's signal mask: programs that the application starts inherit it.
    unsigned number = 1;
    for (LoopThread& caller : others_) {
      run("stint-call-" + std::to_string(++number), [this, &caller] {
        caller.begin_here();
        prepare_();
        lease_.add(caller);
        if (lease_.wait_for_lead(caller)) take_turns(caller);
      });
    }
    // Signals are for the threads of the application: a system call of its own is what one shall interrupt.
    const control::SignalsBlocked blocked;
    lease_.add(stand_in_);
    run("stint-stand-in", [this] {
      if (lease_.wait_for_lead(stand_in_)) take_turns(stand_in_);
    });
#ifndef STINT_NO_MONITOR  // for measuring what it costs; calls are never taken over then
    run("stint-monitor", [this] { lease_.watch_calls(); });
#endif
    return {};
  } catch (const std::system_error& failure) {
    return system_error("start a thread", failure.code().value());
  }
}

Crew::~Crew() {
  lease_.end();
  for (std::thread& thread : threads_) thread.join();
}

void Crew::take_turns(LoopThread& me) noexcept {
  for (;;) {
    while (lease_.leads(me)) {
      if (&me == &first_ && work_.is_over()) return;
      if (work_.is_over() && lease_.stands_by(first_)) break;
      if (!loop_.has_events()) fetch_events(me);
      if (has_better_leader(me)) break;  // asked after the wait: it may have come back meanwhile
      if (loop_.has_events()) loop_.run_one();
      work_.serve_waiting();
      if (lease_.leads(me)) lease_.let_others(me);
    }
    // A call has outlasted the lease, and another thread leads. When nothing waits this one stands by before the leader
    // has the lease again: it is there then for the request that is next.
    while (!lease_.leads(me) && me.calls_application && work_.has_waiting()) {
      lease_.let_others(me);
      work_.serve_waiting();
    }
    const bool is_over = work_.is_over();
    if (is_over) loop_.wake();  // the leader looks
    if (!lease_.stand_by(me, is_over ? &first_ : nullptr)) return;
  }
}

bool Crew::has_better_leader(const LoopThread& me) {
  if (work_.is_over()) return lease_.stands_by(first_);
  return !me.calls_application && lease_.idle_since().has_value();
}

void Crew::fetch_events(LoopThread& me) {
  lease_.wait_for_events(me, !me.calls_application || !work_.has_waiting());
  loop_.end_of_wait();
  // Before the deadlines, one of which looks at it.
  if (me.calls_application)
    lease_.was_free(loop_.last_wait());
  else if (const auto since = lease_.idle_since())
    lease_.was_free(std::min(loop_.last_wait(), std::max(loop_.now() - *since, {})));
  loop_.run_deadlines();
}

}  // namespace stint::worker
