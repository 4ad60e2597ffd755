// How many workers: the part of Pool that follows the load, and that keeps all of them within the memory budget.
#include "server/net/listener.h"
#include "server/supervisor/log_text.h"
#include "server/supervisor/memory_budget.h"
#include "server/supervisor/pool.h"

#include <algorithm>
#include <chrono>

namespace stint::supervisor {

namespace {

// The kernel is asked about each worker and the machine; what grows, grows slower.
constexpr auto budget_interval = std::chrono::seconds(1);
// After a step to get below the budget: until it shows.
constexpr auto budget_patience = std::chrono::minutes(1);
constexpr auto memory_alarm_interval = std::chrono::minutes(1);

}  // namespace

unsigned Pool::count_for(const WorkersSettings& settings) const {
  const unsigned least = std::max(settings.count, 1U);
  return settings.max_count == 0 ? least : std::clamp(count_, least, std::max(settings.max_count, least));
}

bool Pool::is_scaled_by_load() const {
  if (app().workers.max_count == 0) return false;
  log_.warning("ignoring: the load says how many workers there are", {{"pool", app().name}, {"count", count_}});
  return true;
}

PoolLoad Pool::draw_load() const {
  const unsigned threads = std::max(app().workers.threads, 1U);
  PoolLoad load;
  load.ready = ready_count();
  for (const auto& [id, worker] : workers_)
    if (worker->state() == WorkerState::ready && worker->generation() == serving_->number &&
        worker->report().calls >= threads)
      ++load.busy;
  for (const net::Listener& listener : serving_->listeners)
    load.waiting += net::waiting_connections(listener.socket.get());
  return load;
}

// Workers of a generation that is tried by canaries for which the reload has found room.
unsigned Pool::to_come_beside() const {
  if (!is_tried()) return 0;
  const auto there =
      std::count_if(workers_.begin(), workers_.end(), [this](const auto& entry) { return is_coming(*entry.second); });
  return reload_->plan.beside() - std::min(reload_->plan.beside(), static_cast<unsigned>(there));
}

void Pool::scale(TimePoint now) {
  if (app().workers.max_count == 0 || is_stopping_ || is_changing_generations()) return;
  const PoolLoad load = draw_load();
  const unsigned wanted = autoscaling_.next(app().workers, count_, load, now, [this] {
    return workers_that_fit(draw_memory(serving_->memory.budget)) > to_come_beside();
  });
  if (autoscaling_.is_held_by_memory() && now >= next_memory_alarm_) {
    next_memory_alarm_ = now + memory_alarm_interval;
    log_.warning("no memory for one worker more", {{"pool", app().name}, {"count", count_}, {"next", "staying"}});
  }
  if (wanted == count_) return;
  log_.info(wanted > count_ ? "one worker more" : "one worker less",
            {{"pool", app().name}, {"count", wanted}, {"busy", load.busy}, {"waiting", load.waiting}});
  count_ = wanted;
  if (slots_.size() < count_) slots_.resize(count_);
}

// Over budget, the largest worker is replaced when it alone is the reason; else the pool shrinks where it may.
void Pool::keep_to_budget(TimePoint now) {
  const bool has_budget = serving_->memory.budget.count != 0 || app().workers.max_count != 0;
  if (!has_budget || is_stopping_ || is_changing_generations() || now < next_budget_look_) return;
  next_budget_look_ = now + budget_interval;
  // What canaries need beside the pool was looked at when they were started.
  const MemoryView memory = draw_memory(serving_->memory.budget, true);
  if (!is_over_budget(memory)) return;
  WorkerHandle* largest = nullptr;
  unsigned ready = 0;
  for (auto& [id, worker] : workers_) {
    if (worker->recycle_reason()) return;  // one goes already
    if (worker->state() != WorkerState::ready || is_coming(*worker)) continue;
    ++ready;
    if (largest == nullptr || worker->private_memory() > largest->private_memory()) largest = worker.get();
  }
  if (largest == nullptr) return;
  next_budget_look_ = now + budget_patience;
  const bool is_outstanding = largest->private_memory().count * ready > memory.used.count * 3 / 2;
  const bool can_shrink = count_ > std::max(app().workers.count, 1U);
  log_.warning("workers need more memory than there is for them",
               {{"pool", app().name},
                {"used", mebibytes_text(memory.used)},
                {"budget", serving_->memory.budget.count != 0 ? mebibytes_text(memory.budget) : "auto"},
                {"workers", ready},
                {"largest", mebibytes_text(largest->private_memory())},
                {"next", can_shrink && !is_outstanding ? "one worker less"
                                                       : "replacing worker " + std::to_string(largest->slot())}});
  if (can_shrink && !is_outstanding)
    --count_;
  else
    largest->want_replacement(RecycleReason::memory_budget);
}

}  // namespace stint::supervisor
