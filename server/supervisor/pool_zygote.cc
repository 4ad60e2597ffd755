// The part of Pool that is there with start = "fork": the zygotes, one for each generation that serves or is coming,
// and workers that are forked. The rest of Pool is in pool.cc.
//
// A Start step of a generation without a ready zygote does nothing but see that there will be one; rollout asks again
// after each event. An order to fork makes a worker without a process: it has its slot, and counts as booting, until it
// introduces itself, or its channel's end tells that it never will.
//
// Always: workers go on whatever becomes of their zygote. A zygote ends after its workers have been told to retire.
#include "server/supervisor/log_text.h"
#include "server/supervisor/pool.h"
#include "server/supervisor/signal_names.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

namespace stint::supervisor {

namespace {

TimePoint clock_now() { return std::chrono::steady_clock::now(); }

// As of a worker: one that talks without end does not keep the supervisor from the others.
constexpr int max_messages_in_a_row = 32;

bool is_forked(const Generation& generation) { return generation.app.workers.start == StartMode::fork; }

std::string end_text(const ExitStatus& exit) {
  return exit.signal != 0 ? "was ended by " + signal_name(exit.signal)
                          : "exited with code " + std::to_string(exit.exit_code);
}

}  // namespace

// nullopt: not now; the zygote is not ready.
Result<std::optional<StartedWorker>> Pool::start_process(const Generation& generation, unsigned slot, TimePoint now) {
  // Multiprocess even when it is alone: its replacement serves before it has stopped, so that "another process" may run
  // the application at the same time (PEP 3333), and SIGTTIN gives it a sibling.
  if (!is_forked(generation)) {
    auto started = generation.spawner->start(slot, generation.number);
    if (!started) return started.error();
    return std::optional(std::move(*started));
  }
  ZygoteHandle* zygote = zygote_of(generation.number);
  if (zygote == nullptr) start_zygote(generation, now);
  if (zygote == nullptr || zygote->state() != ZygoteState::ready) return std::optional<StartedWorker>();
  auto forked = generation.spawner->fork(zygote->channel(), slot, generation.app.workers.startup_timeout);
  if (forked) return std::optional(std::move(*forked));
  if (forked.error().code.value() == EPIPE) return std::optional<StartedWorker>();  // it has ended; we hear of it soon
  return forked.error();
}

ZygoteHandle* Pool::zygote_of(unsigned generation) {
  for (const auto& zygote : zygotes_)
    if (zygote->generation() == generation && zygote->state() != ZygoteState::retiring && !zygote->is_killed())
      return zygote.get();
  return nullptr;
}

void Pool::start_zygote(const Generation& generation, TimePoint now) {
  const bool is_coming_one = coming_ && generation.number == coming_->number;
  if (is_stopping_ || (!is_coming_one && now < zygote_not_before_)) return;
  auto started = generation.spawner->start_zygote(generation.number);
  if (!started && is_coming_one) return roll_back("start", started.error().text(), "");
  if (!started && !has_been_ready_ && !Spawner::is_transient(started.error())) {
    log_.error("cannot start", {{"pool", app().name}, {"error", started.error().text()}});
    return fail_start();
  }
  if (!started) {
    const Duration delay = back_off_zygote(false, now);
    log_.warning("cannot start a zygote", {{"pool", app().name},
                                           {"error", started.error().text()},
                                           {"next", "another attempt in " + seconds_text(delay)}});
    return;
  }
  zygotes_.push_back(
      std::make_unique<ZygoteHandle>(io_, next_zygote_id_++, generation.number, now, std::move(*started)));
  ZygoteHandle& zygote = *zygotes_.back();
  log_.info("zygote started", {{"pool", app().name}, {"gen", zygote.generation()}, {"pid", zygote.pid()}});
  watch_zygote(zygote);
  zygote.wait_for_exit([this, id = zygote.id()] { on_zygote_exit(id); });
}

// What a worker has come to know in its first requests is shared by those that are forked from it.
void Pool::refork_if_due() {
  const std::uint64_t requests = app().recycle.refork_after;
  if (requests == 0 || !is_forked(*serving_) || is_stopping_ || coming_) return;
  if (unfit_generation_ == serving_->number || zygotes_.size() != 1) return;
  const auto becomes = [](const auto& entry) { return entry.second->record().becomes_zygote; };
  if (std::any_of(workers_.begin(), workers_.end(), becomes)) return;
  for (auto& [id, worker] : workers_) {
    if (worker->state() != WorkerState::ready || worker->recycle_reason() || !worker->record().is_forked) continue;
    if (worker->generation() != serving_->number || worker->report().counts.requests < requests) continue;
    worker->want_replacement(RecycleReason::refork_after);
    return worker->mark_becoming_zygote();
  }
}

// A worker has drained that was told to become one. Until it is ready the one before goes on.
void Pool::turn_into_zygote(WorkerHandle& worker, TimePoint now) {
  log_.info("worker becomes a zygote", {{"pool", app().name},
                                        {"gen", worker.generation()},
                                        {"worker", worker.slot()},
                                        {"pid", worker.pid()},
                                        {"requests", worker.report().counts.requests}});
  leave_keeper(worker);
  if (const pid_t keeper = worker.keeper(); keepers_left_.contains(keeper)) ::kill(keeper, SIGKILL);  // not reaped yet
  former_ += worker.report().counts;
  for (const auto& round : traces_) round->finish(worker.pid(), false);
  zygotes_.push_back(
      std::make_unique<ZygoteHandle>(io_, next_zygote_id_++, worker.generation(), now, worker.release_zygote(), true));
  workers_.erase(worker.id());
  ZygoteHandle& zygote = *zygotes_.back();
  watch_zygote(zygote);
  zygote.wait_for_exit([this, id = zygote.id()] { on_zygote_exit(id); });
}

void Pool::fork_all_again(const ZygoteHandle& from, TimePoint now) {
  for (const auto& zygote : zygotes_) {
    if (zygote->generation() == from.generation() && zygote->id() != from.id() && zygote->state() == ZygoteState::ready)
      zygote->retire(now);
  }
  for (auto& [id, worker] : workers_) {
    if (worker->generation() == from.generation() && worker->state() != WorkerState::retiring)
      worker->want_replacement(RecycleReason::refork_after);
  }
}

void Pool::watch_zygote(ZygoteHandle& zygote) {
  zygote.wait_for_message([this, id = zygote.id()] { on_zygote_channel(id); });
}

ZygoteHandle* Pool::find_zygote(std::uint64_t id) {
  const auto found =
      std::find_if(zygotes_.begin(), zygotes_.end(), [id](const auto& zygote) { return zygote->id() == id; });
  return found == zygotes_.end() ? nullptr : found->get();
}

void Pool::on_zygote_channel(std::uint64_t id) {
  ZygoteHandle* zygote = find_zygote(id);
  if (zygote == nullptr) return;
  const bool is_open = read_zygote(*zygote, clock_now());
  if (is_open) watch_zygote(*zygote);
  advance();
  on_change_();
}

// False: its channel has ended, and so has it, or will soon.
bool Pool::read_zygote(ZygoteHandle& zygote, TimePoint now) {
  for (int i = 0; i < max_messages_in_a_row && zygote.state() != ZygoteState::retiring; ++i) {
    auto message = zygote.receive();
    if (message && !*message) return true;
    if (!message && message.error().code.value() == ECONNRESET) return false;
    const auto* ready = message ? std::get_if<control::Ready>(&**message) : nullptr;
    const auto* failed = message ? std::get_if<control::StartFailed>(&**message) : nullptr;
    if (ready != nullptr && zygote.state() == ZygoteState::starting) {
      zygote.mark_ready(now);
      log_.info("zygote ready", {{"pool", app().name},
                                 {"gen", zygote.generation()},
                                 {"pid", zygote.pid()},
                                 {"took", now - zygote.started()},
                                 {"steps", text_of(ready->steps)},
                                 {"python", ready->python}});
      if (zygote.was_worker()) fork_all_again(zygote, now);
      if (coming_ && zygote.generation() == coming_->number) note_steps(ready->steps, now - zygote.started());
    } else if (failed != nullptr && zygote.state() == ZygoteState::starting) {
      zygote.note_failure(failed->failure);  // what comes of it, its exit decides
    } else {
      log_.warning("ignoring what a zygote said",
                   {{"pool", app().name},
                    {"pid", zygote.pid()},
                    {"error", message ? "not to be expected of a zygote that is " + std::string(text_of(zygote.state()))
                                      : message.error().text()}});
    }
  }
  return zygote.state() != ZygoteState::retiring;
}

void Pool::on_zygote_exit(std::uint64_t id) {
  ZygoteHandle* zygote = find_zygote(id);
  if (zygote == nullptr) return;
  const auto exit = zygote->reap();
  if (!exit) return zygote->wait_for_exit([this, id] { on_zygote_exit(id); });
  const TimePoint now = clock_now();
  read_zygote(*zygote, now);  // its last words
  const auto found = std::find_if(zygotes_.begin(), zygotes_.end(), [id](const auto& one) { return one->id() == id; });
  const std::unique_ptr<ZygoteHandle> ended = std::move(*found);
  zygotes_.erase(found);  // before anything asks for the zygote of its generation
  take_note_of_end(*ended, *exit, now);
  advance();
  on_change_();
}

void Pool::take_note_of_end(const ZygoteHandle& zygote, const ExitStatus& exit, TimePoint now) {
  const bool is_coming_one = coming_ && zygote.generation() == coming_->number;
  const bool is_wanted = !is_stopping_ && (is_coming_one || zygote.generation() == serving_->number);
  if (!is_wanted || zygote.state() == ZygoteState::retiring) {
    log_.write(has_failed_start_ ? LogLevel::debug : LogLevel::info, "zygote exited",
               {{"pool", app().name}, {"gen", zygote.generation()}, {"pid", zygote.pid()}});
    return;
  }
  LoadFailure failure;
  if (zygote.failure()) {
    failure = *zygote.failure();
  } else if (zygote.is_late() && !zygote.was_ready()) {
    const AppSettings& its = is_coming_one ? coming_->app : app();
    failure = {"startup_timeout",
               "the zygote was not ready within " + seconds_text(its.workers.startup_timeout) +
                   " (app.workers.startup_timeout)",
               {}};
  } else {
    failure = {
        "zygote",
        "the zygote " + end_text(exit) + (zygote.was_ready() ? " soon after it was ready" : " before it was ready"),
        {}};
  }
  if (zygote.was_worker() && !zygote.was_ready()) {
    unfit_generation_ = zygote.generation();
    return log_.write(LogLevel::warning, "worker not fit to become the zygote",
                      {{"pool", app().name},
                       {"gen", zygote.generation()},
                       {"pid", zygote.pid()},
                       {"step", failure.step},
                       {"error", failure.summary},
                       {"next", "the zygote before goes on; no other worker of this generation is tried"}},
                      failure.traceback);
  }
  if (is_coming_one) return roll_back(failure.step, failure.summary, failure.traceback);
  if (!has_been_ready_) {
    log_.write(LogLevel::error, "cannot start",
               {{"pool", app().name}, {"pid", zygote.pid()}, {"step", failure.step}, {"error", failure.summary}},
               failure.traceback);
    return fail_start();
  }
  const Duration delay = back_off_zygote(zygote.ready_for(now) > long_service, now);
  const std::string next = "its workers go on; another one in " + seconds_text(delay);
  if (zygote.was_ready())
    log_.warning("zygote died", {{"pool", app().name},
                                 {"gen", zygote.generation()},
                                 {"pid", zygote.pid()},
                                 exit.signal != 0 ? LogField("signal", signal_name(exit.signal))
                                                  : LogField("exit_code", exit.exit_code),
                                 {"cause", zygote.is_late() ? "it did not fork in time" : "unknown"},
                                 {"age", now - zygote.started()},
                                 {"next", next}});
  else
    log_.write(LogLevel::error, "zygote failed to start",
               {{"pool", app().name},
                {"gen", zygote.generation()},
                {"pid", zygote.pid()},
                {"step", failure.step},
                {"error", failure.summary},
                {"next", next}},
               failure.traceback);
}

Duration Pool::back_off_zygote(bool has_served, TimePoint now) {
  const Restart restart = restart_after(zygote_failures_, has_served);
  zygote_failures_ = restart.failures;
  zygote_not_before_ = now + restart.delay;
  return restart.delay;
}

// At the end of each advance(), when the workers' steps are done.
void Pool::tend_zygotes(TimePoint now) {
  for (const auto& zygote : zygotes_) {
    const bool is_coming_one = coming_ && zygote->generation() == coming_->number;
    const bool is_wanted = !is_stopping_ && (is_coming_one || zygote->generation() == serving_->number);
    if (zygote->is_killed()) continue;
    if (!is_wanted && zygote->state() == ZygoteState::starting) zygote->kill();  // it reads no channel yet
    if (!is_wanted && zygote->state() == ZygoteState::ready) zygote->retire(now);
    if (zygote->state() == ZygoteState::retiring && now - zygote->retiring_since() > exit_handlers_time) zygote->kill();
    const Duration limit = (is_coming_one ? coming_->app : app()).workers.startup_timeout;
    if (zygote->state() == ZygoteState::starting && limit.count() != 0 && now - zygote->started() > limit)
      kill_late(*zygote);
  }
  // While a generation is coming, that of the serving one is started only when a slot is empty (start_process).
  if (is_forked(*serving_) && !coming_ && zygote_of(serving_->number) == nullptr) start_zygote(*serving_, now);
}

void Pool::kill_late(ZygoteHandle& zygote) {
  zygote.mark_late();
  zygote.kill();
}

void Pool::kill_zygotes() {
  for (const auto& zygote : zygotes_) zygote->kill();
}

// A worker that was to be forked is wanted no more. There is nobody to kill yet: should it still come, it finds its
// channel closed. But it may have been forked and hang, in a handler of pthread_atfork(3) for one, before it could say
// who it is, with our listeners open; it has the zygote's group then. Where it has not come in time, or nobody is
// wanted any more, the group is what ends.
void Pool::give_up_fork(WorkerHandle& worker, KillCause why) {
  worker.give_up();
  ZygoteHandle* zygote = zygote_of(worker.generation());
  if (zygote == nullptr || why == KillCause::scale_down) return;
  if (why == KillCause::startup_timeout) zygote->mark_late();
  zygote->kill_group();
}

void Pool::introduce(WorkerHandle& worker, std::optional<pid_t> sender) {
  const auto refuse = [&](const std::string& why) {
    log_.warning("ignoring what a worker said", {{"pool", app().name}, {"worker", worker.slot()}, {"error", why}});
  };
  if (worker.has_process()) return refuse("it has introduced itself before");
  if (!sender || *sender <= 0 || has_process(*sender)) return refuse("it does not say who it is");
  if (auto taken = worker.take_process(*sender); !taken) return refuse(taken.error().text());
  watch_exit(worker);
  log_.info("worker started",
            {{"pool", app().name}, {"gen", worker.generation()}, {"worker", worker.slot()}, {"pid", worker.pid()}});
  if (worker.killed()) static_cast<void>(worker.send_signal(SIGKILL));  // ESRCH: it has ended
}

// Children that nobody knows are reaped by whoever finds them; one that has been forked and has not introduced itself
// must not be, or its pid could be another's by then.
bool Pool::waits_for_forks() const {
  return std::any_of(workers_.begin(), workers_.end(), [](const auto& entry) { return !entry.second->has_process(); });
}

// RssAnon counts what is shared with the zygote, so it is never less than what is the worker's own: only where it is
// above the limit the kernel is asked for more, at most five times a second. A supervisor that may not read that of
// another user's process (in a container without CAP_SYS_PTRACE) takes the zygote's as shared.
Bytes Pool::own_memory(const WorkerHandle& worker, Bytes anonymous, bool is_time) {
  if (app().recycle.kill_rss.count == 0 || !(anonymous > app().recycle.kill_rss)) return worker.report().private_memory;
  if (!is_time) return worker.private_memory();
  if (const auto own = own_memory_of(worker.pid())) return *own;
  const ZygoteHandle* zygote = zygote_of(worker.generation());
  const auto shared = zygote != nullptr ? process_use_of(zygote->pid()) : std::nullopt;
  if (!shared) return worker.report().private_memory;
  return {anonymous.count - std::min(anonymous.count, shared->private_memory.count)};
}

// A zygote has once what its workers share; one of a coming generation will have as much. Where that forks no workers,
// each has it all by itself.
void Pool::add_zygotes(MemoryView& view, bool without_coming) const {
  const auto is_its = [this](const auto& zygote) { return coming_ && zygote->generation() == coming_->number; };
  Bytes largest;
  for (const auto& zygote : zygotes_) {
    if (without_coming && is_its(zygote)) continue;
    const auto use = process_use_of(zygote->pid());
    if (!use) continue;
    view.used.count += use->private_memory.count;
    largest.count = std::max(largest.count, use->private_memory.count);
  }
  if (!coming_ || std::any_of(zygotes_.begin(), zygotes_.end(), is_its)) return;
  if (!is_forked(*coming_)) {
    view.per_worker.count += largest.count;
    return;
  }
  view.used.count += largest.count;
  if (view.available) view.available->count -= std::min(view.available->count, largest.count);
}

std::vector<ZygoteStatus> Pool::zygote_status() const {
  std::vector<ZygoteStatus> status;
  for (const auto& zygote : zygotes_)
    status.push_back({zygote->pid(), zygote->generation(), std::string(text_of(zygote->state()))});
  return status;
}

}  // namespace stint::supervisor
