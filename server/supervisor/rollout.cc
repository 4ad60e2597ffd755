#include "server/supervisor/rollout.h"

#include <algorithm>
#include <utility>

namespace stint::supervisor {

namespace {

bool has_passed(TimePoint since, Duration limit, TimePoint now) { return now - since > limit; }

std::optional<KillCause> reason_to_kill(const WorkerView& worker, const PoolView& pool, TimePoint now) {
  const bool is_starting = worker.state == WorkerState::booting || worker.state == WorkerState::warming;
  if (worker.is_killed) return std::nullopt;
  if (!is_starting && pool.kill_rss.count != 0 && worker.private_memory > pool.kill_rss) return KillCause::kill_rss;
  const Duration startup_timeout =
      worker.is_coming && pool.coming ? pool.coming->startup_timeout : pool.startup_timeout;
  if (is_starting && startup_timeout.count() != 0 && has_passed(worker.started, startup_timeout, now))
    return KillCause::startup_timeout;
  if (worker.state == WorkerState::retiring &&
      has_passed(worker.retiring_since, pool.drain_timeout + exit_handlers_time, now))
    return KillCause::drain_timeout;
  // Its own loop has answered such a call by now, unless it is stopped or broken. Warm-up requests are calls too, but
  // their limit is the start's.
  if (!is_starting && worker.busy_since && pool.request_timeout.count() != 0 &&
      has_passed(*worker.busy_since, pool.request_timeout + own_timeouts_time, now))
    return KillCause::request_timeout;
  if (worker.channel_lost_at && has_passed(*worker.channel_lost_at, exit_handlers_time, now))
    return KillCause::lost_channel;
  return std::nullopt;
}

class Planner {
 public:
  Planner(const PoolView& pool, TimePoint now) : pool_(pool), now_(now) {}

  std::vector<Step> plan() {
    kill_overdue();
    for (const SlotView& slot : pool_.slots) {
      if (pool_.is_stopping || slot.slot > pool_.count)
        empty(slot);
      else
        fill(slot);
    }
    if (pool_.is_stopping) return std::move(steps_);
    if (pool_.coming) start_coming(*pool_.coming);
    replace();
    return std::move(steps_);
  }

 private:
  void kill_overdue() {
    for (const SlotView& slot : pool_.slots) {
      if (slot.current) kill_if_overdue(*slot.current);
      if (slot.successor) kill_if_overdue(*slot.successor);
      if (slot.coming) kill_if_overdue(*slot.coming);
      for (const WorkerView& worker : slot.retiring) kill_if_overdue(worker);
    }
  }

  void kill_if_overdue(const WorkerView& worker) {
    if (const auto why = reason_to_kill(worker, pool_, now_)) kill(worker, *why);
  }

  void kill(const WorkerView& worker, KillCause why) {
    steps_.push_back(Kill{worker.id, why});
    killed_.push_back(worker.id);
  }

  bool is_going(const WorkerView& worker) const {
    return worker.is_killed || std::find(killed_.begin(), killed_.end(), worker.id) != killed_.end();
  }

  // The slot is wanted no more. A worker that still imports serves nobody and cannot read our message: it is killed.
  void empty(const SlotView& slot) {
    for (const auto& worker : {slot.current, slot.successor, slot.coming}) {
      // Beyond the count of the serving generation a slot may be the coming one's.
      if (worker && worker->is_coming && !pool_.is_stopping) continue;
      if (!worker || is_going(*worker)) continue;
      if (worker->state == WorkerState::booting)
        kill(*worker, pool_.is_stopping ? KillCause::stop : KillCause::scale_down);
      else
        steps_.push_back(Retire{worker->id, pool_.is_stopping ? RetireCause::stop : RetireCause::scale_down});
    }
  }

  void fill(const SlotView& slot) {
    if (!slot.current && now_ >= slot.not_before) steps_.push_back(Start{slot.slot});
    // The replacement is ready: from here on the old worker only finishes.
    if (slot.successor && slot.successor->state == WorkerState::ready && !is_going(*slot.successor) &&
        !is_going(*slot.current)) {
      steps_.push_back(Retire{slot.current->id, RetireCause::recycle});
      ++out_;
    }
  }

  void start_coming(const ComingGenerationView& coming) {
    unsigned starting = 0;
    for (const SlotView& slot : pool_.slots) {
      if (slot.coming && slot.coming->state != WorkerState::ready) ++starting;
    }
    for (const SlotView& slot : pool_.slots) {
      if (slot.slot > coming.wanted || slot.coming || starting >= std::max(coming.at_once, 1U)) continue;
      steps_.push_back(Start{slot.slot, true});
      ++starting;
    }
  }

  // Starts replacements while fewer than at_once are out; the worker that has served longest goes first.
  void replace() {
    std::vector<const SlotView*> waiting;
    for (const SlotView& slot : pool_.slots) {
      if (slot.successor && slot.successor->state != WorkerState::ready) ++out_;
      for (const WorkerView& worker : slot.retiring)
        if (worker.cause == RetireCause::recycle) ++out_;
      if (slot.slot <= pool_.count && slot.current && !slot.successor && slot.current->wants_replacement &&
          slot.current->state == WorkerState::ready && !is_going(*slot.current) && now_ >= slot.not_before &&
          !(slot.current->can_wait && pool_.coming && !pool_.coming->is_tried))
        waiting.push_back(&slot);
    }
    std::stable_sort(waiting.begin(), waiting.end(), [](const SlotView* one, const SlotView* other) {
      return one->current->started < other->current->started;
    });
    for (const SlotView* slot : waiting) {
      if (out_ >= std::max(pool_.at_once, 1U)) return;
      steps_.push_back(Start{slot->slot});
      ++out_;
    }
  }

  const PoolView& pool_;
  const TimePoint now_;
  std::vector<Step> steps_;
  std::vector<WorkerId> killed_;  // in these steps
  unsigned out_ = 0;              // because of recycling
};

}  // namespace

std::vector<Step> next_steps(const PoolView& pool, TimePoint now) { return Planner(pool, now).plan(); }

std::string broken_invariant(const PoolView& pool) {
  for (unsigned slot = 1; slot <= pool.count; ++slot)
    if (pool.slots.size() < slot || pool.slots[slot - 1].slot != slot)
      return "every slot within the count is there, in order";
  const auto is_alive_and_stays = [](const WorkerView& worker) {
    return worker.state != WorkerState::retiring && worker.state != WorkerState::dead;
  };
  for (const SlotView& slot : pool.slots) {
    if (slot.coming && !pool.coming) return "a worker of a coming generation is there only while one is coming";
    if (slot.successor && !slot.current) return "a successor stands only beside a current worker";
    if (slot.successor && slot.successor->id <= slot.current->id) return "a successor is younger than what it replaces";
    if (slot.current && !is_alive_and_stays(*slot.current)) return "a slot's current worker stays";
    if (slot.successor && !is_alive_and_stays(*slot.successor)) return "a slot's successor stays";
    for (const WorkerView& worker : slot.retiring)
      if (worker.state != WorkerState::retiring) return "a retiring worker is in the state retiring";
  }
  return {};
}

std::string_view text_of(RetireCause cause) {
  switch (cause) {
    case RetireCause::recycle:
      return "recycle";
    case RetireCause::scale_down:
      return "scale_down";
    case RetireCause::reload:
      return "reload";
    case RetireCause::stop:
      return "stop";
  }
  return "";
}

std::string_view text_of(KillCause cause) {
  switch (cause) {
    case KillCause::startup_timeout:
      return "startup_timeout";
    case KillCause::request_timeout:
      return "request_timeout";
    case KillCause::kill_rss:
      return "kill_rss";
    case KillCause::drain_timeout:
      return "drain_timeout";
    case KillCause::lost_channel:
      return "lost_channel";
    case KillCause::scale_down:
      return "scale_down";
    case KillCause::reload:
      return "reload";
    case KillCause::stop:
      return "stop";
  }
  return "";
}

}  // namespace stint::supervisor
