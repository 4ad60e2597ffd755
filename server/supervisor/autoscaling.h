// How many workers a pool with a range of workers has: as many as its load asks for. A state machine without effects:
// the Pool tells at each tick what the workers are at, and sets the count that comes back.
//
//   one more   at every look for `grow_after` all workers have been busy, or somebody has waited in a listener's
//              queue; nothing is on its way that may change it (all slots are ready), and there is memory for one more
//   one less   at every look for `shrink_after` one less would have done: never were all but one of them busy at a
//              time, and nobody waited
//
// Growing is quick, because somebody waits; shrinking slow, because a worker that is needed again has to start. Looks
// are samples, twenty a second: calls of some milliseconds are seen by their share of the time.
//
// Always: the count is within the range. It changes by one.
#pragma once

#include "stint/settings.h"
#include "stint/worker_report.h"

#include <optional>

namespace stint::supervisor {

struct PoolLoad {
  unsigned ready = 0;    // slots with a ready worker
  unsigned busy = 0;     // of these, workers all of whose threads are in a call just now
  unsigned waiting = 0;  // connections in the listeners' queues, as far as the kernel tells
};

class Autoscaling {
 public:
  static constexpr Duration grow_after{250};

  // The count to have. `count`: the present one. `fits`: whether there is memory for one more worker; asked when it
  // matters.
  template <class Fits>
  unsigned next(const WorkersSettings& settings, unsigned count, const PoolLoad& load, TimePoint now, Fits fits) {
    note(count, load, now);
    const unsigned wanted = wanted_count(settings, count, now);
    if (wanted <= count) return wanted;
    is_held_ = !fits();
    return is_held_ ? count : wanted;
  }
  // The last answer would have been one more, had there been memory for it.
  bool is_held_by_memory() const { return is_held_; }

 private:
  void note(unsigned count, const PoolLoad& load, TimePoint now);
  unsigned wanted_count(const WorkersSettings& settings, unsigned count, TimePoint now);

  unsigned count_ = 0;  // that the times are about
  // Of the looks without interruption so far; nullopt: the last one was another.
  std::optional<TimePoint> short_since_;  // of workers
  std::optional<TimePoint> spare_since_;  // one worker
  bool is_held_ = false;
};

}  // namespace stint::supervisor
