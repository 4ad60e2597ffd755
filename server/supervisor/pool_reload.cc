// The reload's part of Pool: draws what Reload asks about, does what it decides, and tells what came of it. The rest of
// Pool is in pool.cc.
#include "server/supervisor/memory_budget.h"
#include "server/supervisor/pool.h"
#include "stint/assert.h"

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

namespace stint::supervisor {

namespace {

// A call that has lasted so long is no request of a moment that has hidden the order to retire.
constexpr auto long_call = std::chrono::milliseconds(5);

}  // namespace

// Of the generation before, and it still serves.
bool Pool::is_former(const WorkerHandle& worker) const {
  return worker.generation() != serving_->number && !is_coming(worker) && !worker.record().is_given_up &&
         worker.state() != WorkerState::retiring && !worker.killed();
}

bool Pool::is_coming(const WorkerHandle& worker) const {
  return coming_ != nullptr && worker.generation() == coming_->number;
}

void Pool::begin_report(unsigned to, std::vector<SettingsChange> changes) {
  const bool is_behind_upgrade = is_upgrading();
  if (!is_behind_upgrade) reload_began_ = std::chrono::steady_clock::now();
  report_ = {.state = ReloadReport::State::running,
             .id = is_behind_upgrade ? report_.id : report_.id + 1,
             .from = serving_->number,
             .to = to,
             .upgrade_from = is_behind_upgrade ? report_.upgrade_from : "",
             .has_new_program = is_behind_upgrade,
             .changes = std::move(changes)};
}

void Pool::end_report(ReloadReport::State state) {
  report_.state = state;
  report_.took = std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - reload_began_);
}

void Pool::reload(std::unique_ptr<Generation> generation, const ReloadSettings& settings,
                  std::vector<SettingsChange> changes, std::function<void()> on_take_over,
                  std::function<void()> on_give_up) {
  STINT_ASSERT(!is_stopping_);
  if (coming_) {
    reload_->on_give_up = {};
    roll_back("superseded", "a newer reload has begun", "");
  }
  begin_report(generation->number, std::move(changes));
  coming_ = std::move(generation);
  const unsigned count = count_for(coming_->app.workers);
  const unsigned beside = std::max(workers_that_fit(draw_memory(coming_->memory.budget)), 1U);
  reload_.emplace(Reload(count, beside, settings), std::move(on_take_over), std::move(on_give_up));
  if (slots_.size() < count) slots_.resize(count);
  log_.info("reloading",
            {{"pool", app().name}, {"gen", coming_->number}, {"workers", count}, {"changes", report_.changes.size()}});
  if (beside < count) {
    report_.beside = beside;
    log_.warning("not enough memory for both generations",
                 {{"pool", app().name},
                  {"workers", count},
                  {"beside", beside},
                  {"next", "they start, and replace the other old workers one after the other"}});
  }
  advance();
}

// What one more worker needs: as much as the largest of those there are.
MemoryView Pool::draw_memory(Bytes budget, bool without_coming) const {
  MemoryView view{.budget = budget, .used = {}, .available = available_memory(), .per_worker = {}};
  for (const auto& [id, worker] : workers_) {
    if (without_coming && is_coming(*worker)) continue;
    auto use = process_use_of(worker->pid());
    if (!use) continue;
    if (worker->record().is_forked) use->private_memory = worker->report().private_memory;
    view.used.count += use->private_memory.count;
    view.per_worker.count = std::max(view.per_worker.count, use->private_memory.count);
  }
  add_zygotes(view, without_coming);
  return view;
}

void Pool::refuse_reload(std::string step, std::string error, std::string detail) {
  if (coming_) roll_back("superseded", "a newer reload has begun, and failed", "");
  begin_report(serving_->number, {});
  report_.step = std::move(step);
  report_.error = std::move(error);
  report_.detail = std::move(detail);
  end_report(ReloadReport::State::failed);
  log_.write(LogLevel::error, "reload failed",
             {{"pool", app().name},
              {"step", report_.step},
              {"error", report_.error},
              {"next", "generation " + std::to_string(serving_->number) + " goes on"}},
             report_.detail);
}

bool Pool::is_tried() const { return reload_ && reload_->plan.phase() == Reload::Phase::canary; }

bool Pool::is_changing_generations() const { return is_reloading() && !is_tried(); }

Result<void> Pool::take_up(const Settings& settings, const std::string& settings_toml,
                           std::vector<SettingsChange> changes) {
  if (auto kept = serving_->spawner->hand_down(settings_toml); !kept) return kept;
  begin_report(serving_->number, std::move(changes));
  serving_->app = settings.app;
  serving_->memory = settings.memory;
  count_ = count_for(app().workers);
  if (slots_.size() < count_) slots_.resize(count_);
  end_report(ReloadReport::State::done);
  log_.info("settings taken up", {{"pool", app().name}, {"changes", report_.changes.size()}});
  advance();
  return {};
}

void Pool::note_steps(const std::vector<StartStep>& steps, TimePoint::duration took) {
  TimePoint::duration known{};
  for (const StartStep& step : report_.steps) known += step.took;
  if (took > known) report_.steps = steps;
}

ComingView Pool::draw_coming(TimePoint now) const {
  ComingView view;
  for (const auto& [id, worker] : workers_) {
    if (!is_coming(*worker) || worker->killed()) continue;
    if (view.is_ready.size() < worker->slot()) view.is_ready.resize(worker->slot());
    view.is_ready[worker->slot() - 1] = worker->state() == WorkerState::ready;
    const WorkerCounts counts = worker->report().counts;
    view.requests += counts.requests;
    view.server_errors += counts.server_errors;
    auto reason = worker->recycle_reason();
    if (!reason) reason = reason_to_recycle(worker->use(now), coming_->app.recycle);
    if (reason && !can_wait(*reason)) view.lost = text_of(*reason);
  }
  return view;
}

void Pool::advance_reload(TimePoint now) {
  if (report_.state == ReloadReport::State::passing) return finish_reload(now);
  if (!coming_) return;
  const Reload::Decision decision = reload_->plan.next(draw_coming(now), now);
  switch (decision.kind) {
    case Reload::Decision::Kind::wait:
      report_.phase = text_of(reload_->plan.phase());
      return;
    case Reload::Decision::Kind::serve_canaries:
      return serve_canaries();
    case Reload::Decision::Kind::take_over:
      return take_over(now);
    case Reload::Decision::Kind::roll_back:
      return roll_back("canary", decision.why, "");
  }
}

void Pool::let_serve(WorkerHandle& worker) {
  if (worker.is_serving()) return;  // a canary already does
  worker.mark_serving();
  if (auto sent = worker.send(control::Serve{}); !sent && sent.error().code.value() != EPIPE)  // EPIPE: it is ending
    log_.warning("cannot tell a worker to serve", {{"pool", app().name},
                                                   {"worker", worker.slot()},
                                                   {"pid", worker.pid()},
                                                   {"error", sent.error().text()},
                                                   {"next", "ignoring; it is replaced when it ends"}});
}

void Pool::serve_canaries() {
  log_.info("canary serves", {{"pool", app().name}, {"gen", coming_->number}, {"workers", reload_->plan.wanted()}});
  for (auto& [id, worker] : workers_)
    if (is_coming(*worker)) let_serve(*worker);
}

// From here on the coming generation is the one that serves. It accepts before the old one stops to. An old worker
// whose slot has no new one yet serves on until it has: then it is replaced as by recycling.
void Pool::take_over(TimePoint now) {
  std::set<unsigned> renewed;
  for (auto& [id, worker] : workers_)
    if (is_coming(*worker)) {
      let_serve(*worker);
      renewed.insert(worker->slot());
    }
  keep_listeners_in_mind(*serving_, *coming_);
  serving_ = std::move(coming_);
  const auto on_take_over = std::move(reload_->on_take_over);
  reload_.reset();
  count_ = count_for(app().workers);
  for (Slot& slot : slots_) slot = {};
  zygote_failures_ = 0;
  zygote_not_before_ = {};
  report_.state = ReloadReport::State::passing;
  report_.has_taken_over = true;
  log_.info("generation takes over",
            {{"pool", app().name}, {"gen", serving_->number}, {"workers", count_}, {"took", now - reload_began_}});
  on_take_over();
  for (auto& [id, worker] : workers_) {
    if (!is_former(*worker)) continue;
    const bool has_heir = worker->slot() > count_ || renewed.contains(worker->slot());
    if (worker->state() == WorkerState::booting)
      apply(Kill{id, KillCause::reload}, now);
    else if (worker->state() == WorkerState::ready && !has_heir)
      worker->want_replacement(RecycleReason::reload);
    else
      apply(Retire{id, RetireCause::reload}, now);
  }
  finish_reload(now);
}

// Whoever has asked for a reload and sees it done gets no answer of the old code any more, unless its request had begun
// before.
void Pool::finish_reload(TimePoint now) {
  for (const auto& [id, worker] : workers_) {
    if (worker->generation() != serving_->number && !has_stopped_accepting(*worker, now)) return;
  }
  end_report(ReloadReport::State::done);
  log_.info("reloaded", {{"pool", app().name}, {"gen", serving_->number}, {"took", report_.took}});
}

// The new generation serves with those that fitted beside the old ones, and one that should replace another old one has
// failed. That one goes on, and the pool tries again; whoever waits for the reload hears of it now.
void Pool::note_failed_replacement(const WorkerHandle& worker, const std::string& step, const std::string& error,
                                   const std::string& detail) {
  if (report_.state != ReloadReport::State::passing) return;
  const bool replaces_former = std::any_of(workers_.begin(), workers_.end(), [&](const auto& entry) {
    return entry.second->slot() == worker.slot() && is_former(*entry.second);
  });
  if (!replaces_former) return;
  report_.step = step;
  report_.error = error;
  report_.detail = detail;
  end_report(ReloadReport::State::failed);
}

// Said so, or in a call since before it was told: it looks for orders when the call ends, and before the next request.
bool Pool::has_stopped_accepting(const WorkerHandle& worker, TimePoint now) const {
  if (worker.is_draining() || worker.killed()) return true;
  const WorkerReport report = worker.report();
  return report.is_busy && report.busy_since <= worker.retiring_since() && now - report.busy_since > long_call;
}

void Pool::roll_back(const std::string& step, const std::string& error, const std::string& detail) {
  log_.write(LogLevel::error, "reload failed",
             {{"pool", app().name},
              {"gen", coming_->number},
              {"step", step},
              {"error", error},
              {"next", "generation " + std::to_string(serving_->number) + " goes on"}},
             detail);
  report_.step = step;
  report_.error = error;
  report_.detail = detail;
  end_report(ReloadReport::State::failed);
  give_up_coming(std::chrono::steady_clock::now());
}

// Where `next`, which will serve, does not listen everywhere where `before` does, those before that one may not either.
void Pool::keep_listeners_in_mind(const Generation& before, const Generation& next) {
  std::set<unsigned> former;
  for (const auto& [id, worker] : workers_)
    if (worker->generation() != next.number) former.insert(worker->generation());
  if (before.listens_beyond(next)) {
    listens_elsewhere_ = std::move(former);
  } else {
    std::erase_if(listens_elsewhere_, [&former](unsigned number) { return !former.contains(number); });
  }
}

void Pool::give_up_coming(TimePoint now) {
  const std::unique_ptr<Generation> given_up = std::move(coming_);
  const auto on_give_up = std::move(reload_->on_give_up);
  reload_.reset();
  if (given_up->listens_beyond(*serving_)) listens_elsewhere_.insert(given_up->number);
  if (on_give_up) on_give_up();
  for (auto& [id, worker] : workers_) {
    if (worker->generation() == given_up->number) worker->mark_given_up();
    if (worker->generation() != given_up->number || worker->killed()) continue;
    if (worker->state() == WorkerState::retiring || worker->state() == WorkerState::dead) continue;
    // One that still starts cannot read our message; one that is ready may be a canary with connections.
    if (worker->state() == WorkerState::ready)
      apply(Retire{id, RetireCause::reload}, now);
    else
      apply(Kill{id, KillCause::reload}, now);
  }
}

void Pool::close_listeners() { serving_->listeners.clear(); }

}  // namespace stint::supervisor
