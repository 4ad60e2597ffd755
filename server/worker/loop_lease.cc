#include "server/worker/loop_lease.h"

#include "stint/assert.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#ifdef STINT_STRESS_LEASE
// Of the stress test, which compiles this file for itself: waits a random moment, or not at all.
void stress_point();
#else
static void stress_point() {}
#endif

namespace stint::worker {

namespace {

// The monitor goes to sleep when it has found no call so many times in a row: waking it costs a call a system call, so
// it stays awake between the requests of a busy worker.
constexpr unsigned looks_before_sleep = 10;

std::int64_t nanoseconds_of(TimePoint time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

}  // namespace

// Each order is sequentially consistent, because two pairs of threads look at each other's word: who lets the lease go
// stores the word and then looks whether somebody waits (or sleeps); who wants to wait says so and then looks at the
// word.
bool LoopLease::try_take() {
  std::int64_t seen = word_.load();
  return seen != held && word_.compare_exchange_strong(seen, held);
}

void LoopLease::acquire(LoopThread& me) {
  stress_point();
  if (!try_take()) {
    std::unique_lock lock(mutex_);
    queue_.push_back(&me);
    attention_.fetch_or(is_wanted);
    if (try_take()) {
      queue_.pop_back();
      if (queue_.empty()) attention_.fetch_and(~is_wanted);
    } else {
      wait_until_granted(lock, me);
    }
  }
  holder_ = &me;
}

// Not in the queue, from which nobody can step back.
bool LoopLease::try_acquire(LoopThread& me, std::chrono::milliseconds patience) {
  stress_point();
  bool has = try_take();
  if (!has && patience.count() > 0) {
    const TimePoint end = std::chrono::steady_clock::now() + patience;
    while (!(has = try_take()) && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  if (has) holder_ = &me;
  return has;
}

void LoopLease::release() {
  stress_point();
  // What this thread has armed may be due before the leader expects to wake.
  if (holder_ != leader_) loop_.wake_for_deadlines();
  word_.exchange(resting_);
  stress_point();
  if (attention_.load() != 0) attend();
}

void LoopLease::attend() {
  const std::unique_lock lock(mutex_);
  if (word_.load() > 0) wake_monitor();
  if (!queue_.empty() && try_take()) grant_to_first();
}

// The same for a thread that waits from here on, under the mutex.
void LoopLease::let_go() {
  if (!queue_.empty()) return grant_to_first();
  const std::int64_t resting = resting_;  // from the exchange on it is another's
  word_.exchange(resting);
  if (resting > 0) wake_monitor();
}

void LoopLease::wake_monitor() {
  if ((attention_.load() & monitor_sleeps) == 0) return;
  attention_.fetch_and(~monitor_sleeps);
  monitor_.notify_one();
}

void LoopLease::grant(LoopThread& thread) {
  stress_point();
  thread.has_been_granted_ = true;
  thread.granted_.notify_one();
}

void LoopLease::grant_to_first() {
  LoopThread& first = *queue_.front();
  queue_.pop_front();
  if (queue_.empty()) attention_.fetch_and(~is_wanted);
  grant(first);
}

void LoopLease::wait_until_granted(std::unique_lock<std::mutex>& lock, LoopThread& me) {
  me.granted_.wait(lock, [&] { return me.has_been_granted_; });
  me.has_been_granted_ = false;
}

// The leader is another from here on. One that calls the application can serve what waits; the other kind only keeps
// things going.
void LoopLease::appoint(const LoopThread* next) {
  auto chosen = std::find(standing_by_.begin(), standing_by_.end(), next);
  if (chosen == standing_by_.end()) {
    chosen = std::find_if(standing_by_.begin(), standing_by_.end(),
                          [](const LoopThread* thread) { return thread->calls_application; });
  }
  if (chosen == standing_by_.end()) chosen = standing_by_.begin();
  STINT_ASSERT(chosen != standing_by_.end());
  leader_ = *chosen;
  resting_ = free;  // it is inside no call, as the one before may have been
  standing_by_.erase(chosen);
  grant(*leader_);
}

void LoopLease::let_others(LoopThread& me) {
  if ((attention_.load(std::memory_order_relaxed) & is_wanted) == 0) return;
  std::unique_lock lock(mutex_);
  if (queue_.empty()) return;
  queue_.push_back(&me);
  grant_to_first();
  wait_until_granted(lock, me);
  holder_ = &me;
}

void LoopLease::wait_for_events(LoopThread& me, bool may_wait) {
  loop_.prepare_to_wait(may_wait);
  if (away_ == 0) return loop_.wait();
  resting_ = free;
  release();
  loop_.wait();
  acquire(me);
}

bool LoopLease::stands_by(const LoopThread& thread) {
  const std::unique_lock lock(mutex_);
  return std::find(standing_by_.begin(), standing_by_.end(), &thread) != standing_by_.end();
}

std::optional<TimePoint> LoopLease::idle_since() {
  const std::unique_lock lock(mutex_);
  std::optional<TimePoint> first;
  for (const LoopThread* thread : standing_by_)
    if (thread->calls_application) first = std::min(first.value_or(TimePoint::max()), thread->stood_by_);
  return first;
}

void LoopLease::line_up(LoopThread& thread) {
  thread.stood_by_ = std::chrono::steady_clock::now();
  standing_by_.push_back(&thread);
}

bool LoopLease::stand_by(LoopThread& me, const LoopThread* next) {
  stress_point();
  const bool was_away = leader_ != &me;
  if (was_away) {
    --away_;
    loop_.wake_for_deadlines();
  }
  std::unique_lock lock(mutex_);
  was_away ? let_go() : appoint(next);
  line_up(me);
  return wait_for_lead(lock, me);
}

bool LoopLease::wait_for_lead(std::unique_lock<std::mutex>& lock, LoopThread& me) {
  me.granted_.wait(lock, [&] { return me.has_been_granted_ || is_over_; });
  if (!std::exchange(me.has_been_granted_, false)) return false;
  holder_ = &me;
  return true;
}

void LoopLease::add(LoopThread& thread) {
  const std::unique_lock lock(mutex_);
  line_up(thread);
}

bool LoopLease::wait_for_lead(LoopThread& me) {
  std::unique_lock lock(mutex_);
  return wait_for_lead(lock, me);
}

void LoopLease::end() {
  const std::unique_lock lock(mutex_);
  is_over_ = true;
  resting_ = free;
  let_go();  // to those who are still on their way back
  attention_.fetch_and(~monitor_sleeps);
  monitor_.notify_one();
  for (LoopThread* thread : standing_by_) thread->granted_.notify_one();
}

void LoopLease::watch_calls() {
  using std::chrono::nanoseconds;
  std::unique_lock lock(mutex_);
  for (unsigned quiet = 0; !is_over_;) {
    std::int64_t began = word_.load();
    if (began > 0) {
      quiet = 0;
      const nanoseconds age(nanoseconds_of(std::chrono::steady_clock::now()) - began);
      if (age < call_limit) {
        monitor_.wait_for(lock, call_limit - age);
        continue;
      }
      stress_point();
      if (!word_.compare_exchange_strong(began, held)) continue;
      // The lease is ours for a moment, and the leader away from here on.
      ++away_;
      appoint(nullptr);
    } else if (++quiet <= looks_before_sleep) {
      monitor_.wait_for(lock, call_limit);
    } else {
      attention_.fetch_or(monitor_sleeps);
      if (word_.load() <= 0) {
        monitor_.wait(lock, [&] { return is_over_ || (attention_.load() & monitor_sleeps) == 0; });
      }
      attention_.fetch_and(~monitor_sleeps);
      quiet = 0;
    }
  }
}

void LoopLease::Call::begin(TimePoint now) {
  thread_ = lease_.holder_;
  began_ = nanoseconds_of(now);
  if (lease_.leader_ == thread_) lease_.resting_ = began_;
  lease_.release();
}

void LoopLease::Call::end() {
  std::int64_t expected = began_;
  if (!lease_.word_.compare_exchange_strong(expected, held)) {
    lease_.acquire(*thread_);
    lease_.loop_.look_at_clock();  // its time is that of the leader's last wait
  }
  lease_.holder_ = thread_;
  if (lease_.leader_ == thread_) lease_.resting_ = free;
  thread_ = nullptr;
}

void LoopLease::Call::wait() {
  stress_point();
  LoopThread& me = *thread_;
  is_waiting_ = true;
  const bool leads = lease_.leader_ == &me;
  if (leads) {
    ++lease_.away_;
  } else {
    lease_.loop_.wake_for_deadlines();
  }
  std::unique_lock lock(lease_.mutex_);
  leads ? lease_.appoint(nullptr) : lease_.let_go();
  lease_.wait_until_granted(lock, me);
  lease_.holder_ = &me;
}

void LoopLease::Call::resume() {
  if (!is_waiting_) return;
  is_waiting_ = false;
  const std::unique_lock lock(lease_.mutex_);
  lease_.queue_.push_back(thread_);
  lease_.attention_.fetch_or(is_wanted);
}

}  // namespace stint::worker
