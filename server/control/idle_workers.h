// Which workers of a pool could start a request at once, how many requests wait for one, and how busy each was: one
// page of shared memory beside the inbox, made by the supervisor and inherited by every worker of every generation. A
// worker that cannot start a request looks here before it puts it into the inbox: where nobody else serves it waits as
// well where it is.
//
// What has been sent into the inbox is counted, so that a worker whose call ends knows without a system call whether
// something waits there; whoever finds the inbox empty sets the count right. Each worker has a place, taken by its pid,
// and writes only there. What it says holds for a few seconds, and it says so again once a second: the word of a worker
// that has died runs out by itself. No system call but when a place is taken.
#pragma once

#include "stint/result.h"
#include "stint/unique_fd.h"
#include "stint/worker_report.h"

#include <cstddef>

namespace stint::control {

Result<UniqueFd> make_idle_workers();

// Of one worker in its last quarter of a second (worker::load_period), or several ones added up.
struct WorkLoad {
  unsigned workers = 0;
  double busy = 0;           // the part of the time in which a request could not have begun at once
  unsigned connections = 0;  // that have had an answer
  bool operator==(const WorkLoad&) const = default;
};

// The mapped page, as one worker has it. Outlives the descriptor.
class IdleWorkers {
 public:
  static Result<IdleWorkers> map(int fd);
  IdleWorkers(IdleWorkers&&) noexcept;
  IdleWorkers& operator=(IdleWorkers&&) noexcept;
  ~IdleWorkers();  // gives the place back

  // This worker is idle, as far as is known now; or takes nothing for the moment; or takes nothing more. In a pool with
  // more workers than places some go unmentioned.
  void say_idle(TimePoint now);
  void say_busy(TimePoint now);
  void say_busy();  // for as long as it was to hold before
  void say_gone();
  bool says_idle() const { return says_idle_; }
  // Another worker is idle, and nothing is on its way to it.
  bool has_idle_other(TimePoint now) const;
  // Another worker takes from the inbox, now or once it is idle.
  bool has_other(TimePoint now) const;

  void say_load(const WorkLoad& own) const;
  // Of all workers that take from the inbox, this one included.
  WorkLoad pool_load(TimePoint now) const;

  // A request goes into the inbox, or has come out of it; nothing is in it.
  std::size_t waiting() const;
  void sent() const;
  void took() const;
  void nothing_sent() const;

 private:
  struct Page;
  struct Place;
  explicit IdleWorkers(Page* page) : page_(page) {}
  void take_place();
  bool is_other(const Place& place, TimePoint now) const;

  Page* page_ = nullptr;
  Place* own_ = nullptr;  // in the page; null: none was free
  bool says_idle_ = false;
};

}  // namespace stint::control
