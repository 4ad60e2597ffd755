// The worker's event loop: readiness of descriptors, and deadlines. One thread at a time has it (LoopLease); only while
// it waits for events may another one watch descriptors and arm deadlines.
//
// Why not Boost.Asio here, as the supervisor has it: Asio registers descriptors edge-triggered and wants a read buffer
// for each waiting connection, offers no EPOLLEXCLUSIVE (an idle worker wakes for each connection that another one
// takes), and gives no hold on the events it has fetched but not run. This loop waits level-triggered, so that an idle
// connection costs no buffer and can be given to another process with one epoll_ctl; and its batch of events lives in
// the object, so that another thread can go on with it while the leader is inside the application.
#pragma once

#include "server/worker/deadlines.h"
#include "stint/result.h"
#include "stint/unique_fd.h"
#include "stint/worker_report.h"

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace stint::worker {

// Told when a watched descriptor is ready. The loop does not own watchers; unwatch() before one goes.
class Watcher {
 public:
  virtual void on_ready(std::uint32_t events) = 0;  // EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR, EPOLLRDHUP

 protected:
  ~Watcher() = default;
};

class EventLoop {
 public:
  static Result<std::unique_ptr<EventLoop>> make();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // `events` of 0 keeps the registration but waits for errors only. Level-triggered. EPOLLEXCLUSIVE may be among the
  // events of watch(); such a registration cannot be rewatched (epoll_ctl(2)).
  Result<void> watch(int fd, std::uint32_t events, Watcher& watcher);
  void rewatch(int fd, std::uint32_t events);  // no system call when nothing changes
  void unwatch(int fd);

  // A deadline list that step() looks at. It outlives the loop's use.
  void add(DeadlineList& list) { deadlines_.push_back(&list); }

  // Calls one watcher that is ready, or waits for one (until the next deadline) and calls it; runs deadlines that are
  // due. While a watcher runs, another thread may go on with the rest of the batch.
  void step();

  // A step in its parts, for who has to let others have the loop while wait() runs.
  bool has_events() const { return batch_next_ != batch_size_; }
  void prepare_to_wait(bool may_wait);
  void wait();                                                       // touches nothing but the batch
  void end_of_wait();                                                // looks at the clock
  std::chrono::nanoseconds last_wait() const { return last_wait_; }  // 0: it was not allowed to wait
  void run_deadlines();
  void run_one();  // REQUIRES: has_events()
  // Makes a wait() of another thread end that is longer than the deadlines now allow.
  void wake_for_deadlines();
  void wake();

  // The time of the last wait; good for time-outs, too old for measuring.
  TimePoint now() const { return now_; }
  void look_at_clock() { now_ = std::chrono::steady_clock::now(); }

 private:
  struct Registration {
    Watcher* watcher = nullptr;
    std::uint32_t serial = 0;  // an event fetched before unwatch() does not reach the next user of the number
    std::uint32_t events = 0;
  };

  // Wakes the thread that waits: an eventfd.
  struct Alarm final : Watcher {
    explicit Alarm(UniqueFd f) : fd(std::move(f)) {}
    void on_ready(std::uint32_t events) override;
    UniqueFd fd;
  };

  EventLoop(UniqueFd epoll, UniqueFd alarm) : epoll_(std::move(epoll)), alarm_(std::move(alarm)) {}
  TimePoint next_due() const;
  int milliseconds_until(TimePoint next) const;

  UniqueFd epoll_;
  Alarm alarm_;
  std::vector<Registration> registrations_;  // by descriptor
  std::vector<DeadlineList*> deadlines_;
  std::array<epoll_event, 128> batch_{};
  std::size_t batch_next_ = 0;
  std::size_t batch_size_ = 0;
  std::uint32_t serials_ = 0;
  int wait_milliseconds_ = 0;
  TimePoint wait_began_;
  std::chrono::nanoseconds last_wait_{0};
  TimePoint waits_until_ = TimePoint::min();  // min: nobody waits
  TimePoint now_ = std::chrono::steady_clock::now();
};

}  // namespace stint::worker
