#include "server/worker/deadlines.h"

namespace stint::worker {

void Timed::disarm() {
  if (list_) list_->remove(*this);
}

DeadlineList::~DeadlineList() {
  while (first_) remove(*first_);
}

void DeadlineList::remove(Timed& timed) {
  (timed.previous_ ? timed.previous_->next_ : first_) = timed.next_;
  (timed.next_ ? timed.next_->previous_ : last_) = timed.previous_;
  timed.previous_ = timed.next_ = nullptr;
  timed.list_ = nullptr;
}

void DeadlineList::arm(Timed& timed, TimePoint now) {
  timed.disarm();
  if (length_ == length_.zero()) return;
  timed.due_ = now + length_;
  timed.list_ = this;
  timed.previous_ = last_;
  (last_ ? last_->next_ : first_) = &timed;
  last_ = &timed;
}

void DeadlineList::expire(TimePoint now) {
  while (first_ && first_->due_ <= now) {
    Timed& timed = *first_;
    remove(timed);
    timed.on_deadline();
  }
}

}  // namespace stint::worker
