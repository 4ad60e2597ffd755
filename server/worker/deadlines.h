// Deadlines of one length, in the order they fall due: since all of a list last equally long, arming is "to the end of
// the list" and expiring is "from its beginning"; both cost the same with ten thousand connections as with one. A
// connection waits for one thing at a time, so it is in at most one list. Run by the thread that runs the event loop.
#pragma once

#include "stint/worker_report.h"

#include <chrono>

namespace stint::worker {

class DeadlineList;

// Something with a deadline. Leaves its list when it is destroyed.
class Timed {
 public:
  Timed() = default;
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;
  // It is already disarmed. It may arm itself again, and destroy itself.
  virtual void on_deadline() = 0;
  void disarm();

 protected:
  virtual ~Timed() { disarm(); }

 private:
  friend class DeadlineList;
  Timed* previous_ = nullptr;
  Timed* next_ = nullptr;
  DeadlineList* list_ = nullptr;
  TimePoint due_{};
};

class DeadlineList {
 public:
  explicit DeadlineList(std::chrono::milliseconds length) : length_(length) {}
  DeadlineList(const DeadlineList&) = delete;
  DeadlineList& operator=(const DeadlineList&) = delete;
  ~DeadlineList();

  // Due `length` after now; takes it out of the list it was in. A length of 0 is no limit: it is only disarmed.
  void arm(Timed& timed, TimePoint now);
  // Calls on_deadline of each that is due.
  void expire(TimePoint now);
  TimePoint next_due() const { return first_ ? first_->due_ : TimePoint::max(); }
  std::chrono::milliseconds length() const { return length_; }

 private:
  friend class Timed;
  void remove(Timed& timed);

  std::chrono::milliseconds length_;
  Timed* first_ = nullptr;
  Timed* last_ = nullptr;
};

}  // namespace stint::worker
