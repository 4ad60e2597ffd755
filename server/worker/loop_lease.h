// The lease of the event loop: which thread of the worker may use what the loop guards (connections, tables, deadlines,
// queues, the Dispatcher). One thread at a time holds it, so none of that needs a lock of its own.
//
//                     began a call                    the call has ended (compare-exchange)
//        ┌─> leading ────────────────> leading, calling ──────────────────────────────┐
//        │     ^                              │ it lasts longer than call_limit, or    │
//        │     └──────────────────────────────┼ waits for its client ──────────────────┘
//        │ appointed                          v
//     standing by                           away, calling ──ended, when the lease is free──> away, finishing its answer
//        ^                                    ^                                                  │
//        │                                    └──────────── another request waits ───────────────┤
//        └───────────────────────────────────────── nothing waits ───────────────────────────────┘
//
// The leader is the one who waits for events. It calls the application itself, inline; meanwhile the lease rests: the
// word holds the time at which the call began, and whoever needs the loop takes the lease with a compare-exchange. When
// nobody did, the leader takes it back the same way. That is all an ordinary request pays: no lock, no system call, no
// other thread. A monitor looks at the word and appoints another leader when a call gets old; it sleeps when none runs.
//
// Always: exactly one thread leads. A thread that is away needs the lease only for a moment: to send what its call has
// given, and for what follows the call. Threads that wait for it get it in the order in which they asked.
#pragma once

#include "server/worker/event_loop.h"
#include "stint/worker_report.h"

#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

namespace stint::worker {

// A call of this age has another thread lead. Taking over and giving back are a handful of wake-ups, a small part of
// this, so that a call only little longer pays little; and the others' requests, which wait for so long at most, shall
// not have to wait longer than a few milliseconds for all that comes between.
inline constexpr std::chrono::milliseconds call_limit{1};

// A thread that takes turns. Outlives its use of the lease.
class LoopThread {
 public:
  explicit LoopThread(bool calls) : calls_application(calls) {}
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  const bool calls_application;  // false: it only leads, while those who do are inside calls

  // The kernel's number of it; 0 until it has begun.
  pid_t id() const { return id_; }
  void begin_here() { id_ = ::gettid(); }

 private:
  friend class LoopLease;
  pid_t id_ = 0;
  std::condition_variable granted_;
  bool has_been_granted_ = false;
  TimePoint stood_by_;  // while it does: since then
};

class LoopLease {
 public:
  // `first` leads and holds the lease from the start.
  LoopLease(EventLoop& loop, LoopThread& first) : loop_(loop), leader_(&first), holder_(&first) {}
  LoopLease(const LoopLease&) = delete;
  LoopLease& operator=(const LoopLease&) = delete;

  // One call into the application, or one after the other. Made and used by the thread that makes the call; resume() by
  // whoever holds the lease.
  class Call {
   public:
    explicit Call(LoopLease& lease) : lease_(lease) {}
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    // Lets the lease go, and takes it back. REQUIRES: this thread holds it.
    void begin(TimePoint now);
    void end();
    bool is_running() const { return thread_ != nullptr; }

    // Holds the lease while the object lives, in the middle of a call; nothing to do outside of one.
    class Turn {
     public:
      explicit Turn(Call& call) : call_(call) {
        if (call_.is_running()) call_.lease_.acquire(*call_.thread_);
      }
      Turn(const Turn&) = delete;
      Turn& operator=(const Turn&) = delete;
      ~Turn() {
        if (call_.is_running()) call_.lease_.release();
      }

     private:
      Call& call_;
    };
    // The same for who has the interpreter's lock, which those who have the lease may be waiting for: it tries for so
    // long, and may do nothing with the loop where has() is false.
    class TriedTurn {
     public:
      TriedTurn(Call& call, std::chrono::milliseconds patience)
          : call_(call), has_(!call.is_running() || call.lease_.try_acquire(*call.thread_, patience)) {}
      TriedTurn(const TriedTurn&) = delete;
      TriedTurn& operator=(const TriedTurn&) = delete;
      ~TriedTurn() {
        if (has_ && call_.is_running()) call_.lease_.release();
      }
      bool has() const { return has_; }

     private:
      Call& call_;
      const bool has_;
    };
    // The call needs something that the loop has to do first: another thread leads until resume(). REQUIRES: within a
    // Turn; somebody stands by.
    void wait();
    void resume();

   private:
    LoopLease& lease_;
    LoopThread* thread_ = nullptr;  // while it runs
    std::int64_t began_ = 0;
    bool is_waiting_ = false;  // guarded by the lease
  };

  // Another thread, that stands by from here on, and what it does then.
  void add(LoopThread& thread);
  bool wait_for_lead(LoopThread& me);

  // All below REQUIRE that `me`, the calling thread, holds the lease.

  // How long in all a thread that calls the application has waited for events, or stood by while another did: a request
  // could have begun at once.
  std::chrono::nanoseconds free_time() const { return free_time_; }
  void was_free(std::chrono::nanoseconds time) { free_time_ += time; }

  const LoopThread& holder() const { return *holder_; }
  bool leads(const LoopThread& me) const { return leader_ == &me; }
  // Whoever asked for the lease has it first.
  void let_others(LoopThread& me);
  // The leader waits for events; others may have the loop meanwhile.
  void wait_for_events(LoopThread& me, bool may_wait);
  bool stands_by(const LoopThread& thread);
  // Since when one that calls the application stands by; nullopt: none does.
  std::optional<TimePoint> idle_since();
  // Gives the lease back, and the lead if this thread has it, and waits until it shall lead; `next` shall when it
  // stands by. False: it is over, and the lease is another's.
  bool stand_by(LoopThread& me, const LoopThread* next = nullptr);

  // Gives the lease back for good; stand_by() returns false in all threads, and watch_calls() returns. REQUIRES: this
  // thread leads, and no call runs.
  void end();

  // The monitor's life, in a thread of its own.
  void watch_calls();

 private:
  // The word: one of these, or the time at which the leader's call began.
  static constexpr std::int64_t held = 0;
  static constexpr std::int64_t free = -1;  // the leader waits for events
  // Bits of attention_: what a thread that lets the lease go has to see to.
  static constexpr unsigned is_wanted = 1;
  static constexpr unsigned monitor_sleeps = 2;

  bool try_take();
  void acquire(LoopThread& me);
  bool try_acquire(LoopThread& me, std::chrono::milliseconds patience);
  void release();
  void attend();  // after the lease has been let go
  // REQUIRE: mutex_ is locked, and whoever has locked it has the lease.
  void let_go();
  void wake_monitor();
  void grant(LoopThread& thread);
  void grant_to_first();
  void appoint(const LoopThread* next);
  void line_up(LoopThread& thread);
  void wait_until_granted(std::unique_lock<std::mutex>& lock, LoopThread& me);
  bool wait_for_lead(std::unique_lock<std::mutex>& lock, LoopThread& me);

  EventLoop& loop_;
  std::atomic<std::int64_t> word_{held};
  std::atomic<unsigned> attention_{0};

  // Guarded by the lease.
  LoopThread* leader_;
  LoopThread* holder_;
  std::int64_t resting_ =
      free;  // what the word is while nobody holds the lease: since when the leader is inside a call
  std::chrono::nanoseconds free_time_{0};
  unsigned away_ = 0;  // threads that neither lead nor stand by: they may want the lease at any time

  std::mutex mutex_;  // guards what follows; taken only when threads meet
  std::deque<LoopThread*> queue_;
  std::vector<LoopThread*> standing_by_;
  std::condition_variable monitor_;
  bool is_over_ = false;
};

}  // namespace stint::worker
