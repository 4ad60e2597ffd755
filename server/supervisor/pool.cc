#include "server/supervisor/pool.h"

#include "server/supervisor/log_text.h"
#include "server/supervisor/signal_names.h"
#include "stint/assert.h"

#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <string>
#include <thread>
#include <utility>

namespace stint::supervisor {

namespace {

TimePoint clock_now() { return std::chrono::steady_clock::now(); }

// Killed for nothing that the worker has done.
bool is_wanted_no_more(KillCause why) {
  return why == KillCause::stop || why == KillCause::scale_down || why == KillCause::reload;
}

constexpr auto count_interval = std::chrono::seconds(1);
constexpr auto private_interval = std::chrono::milliseconds(200);
constexpr auto alarm_interval = std::chrono::minutes(1);

// One worker's messages read in a row, so that one that talks without end does not keep the supervisor from the others.
constexpr int max_messages_in_a_row = 32;

}  // namespace

Pool::Pool(boost::asio::io_context& io, std::unique_ptr<Generation> generation, Log& log,
           std::function<void()> on_change)
    : io_(io),
      log_(log),
      on_change_(std::move(on_change)),
      serving_(std::move(generation)),
      last_generation_(serving_->number),
      count_(std::max(app().workers.count, 1U)),
      slots_(count_) {}

Pool::~Pool() = default;

void Pool::start() {
  advance();
  on_change_();
}

void Pool::tick() {
  const TimePoint now = clock_now();
  look_at_processes(now);
  recycle_what_reached_a_limit(now);
  refork_if_due();
  scale(now);
  keep_to_budget(now);
  advance();
}

void Pool::look_at_processes(TimePoint now) {
  const RecycleSettings& limits = app().recycle;
  const bool is_time_to_count = (limits.max_fds != 0 || limits.max_threads != 0) && now >= next_count_;
  if (is_time_to_count) next_count_ = now + count_interval;
  if (limits.kill_rss.count == 0 && !is_time_to_count) return;
  const bool is_time_for_private = now >= next_private_look_;
  if (is_time_for_private) next_private_look_ = now + private_interval;
  for (auto& [id, worker] : workers_) {
    if (worker->state() != WorkerState::ready && worker->state() != WorkerState::retiring) continue;
    if (auto use = process_use_of(worker->pid())) {
      if (worker->record().is_forked)
        use->private_memory = own_memory(*worker, use->private_memory, is_time_for_private);
      worker->note_use(*use);
    }
    if (!is_time_to_count || limits.max_fds == 0) continue;
    if (const auto open = open_descriptors_of(worker->pid())) worker->note_descriptors(*open);
  }
}

void Pool::recycle_what_reached_a_limit(TimePoint now) {
  for (auto& [id, worker] : workers_) {
    if (worker->state() != WorkerState::ready || worker->recycle_reason() || is_coming(*worker)) continue;
    const auto reason = reason_to_recycle(worker->use(now), app().recycle);
    if (!reason) continue;
    worker->want_replacement(*reason);
    if (now < next_alarm_ || !is_limit_too_low(worker->start_took(), worker->ready_for(now))) continue;
    next_alarm_ = now + alarm_interval;
    log_.warning("workers reach a limit soon after their start",
                 {{"pool", app().name},
                  {"worker", worker->slot()},
                  {"reason", text_of(*reason)},
                  {"start", worker->start_took()},
                  {"age", now - worker->started()},
                  {"next", "they are replaced all the time; raise app.recycle." + std::string(text_of(*reason))}});
  }
}

void Pool::on_child_end(pid_t pid, const ExitStatus& exit) {
  keepers_left_.erase(pid);
  for (auto& [id, worker] : workers_) {
    if (worker->keeper() != pid || worker->has_ended()) continue;
    worker->mark_keeper_lost();
    if (worker->killed()) continue;  // its group was
    const bool is_going = worker->state() == WorkerState::retiring;
    log_.warning("keeper died", {{"pool", app().name},
                                 {"gen", worker->generation()},
                                 {"worker", worker->slot()},
                                 {"pid", worker->pid()},
                                 {"keeper", pid},
                                 exit.signal != 0 ? LogField("signal", signal_name(exit.signal))
                                                  : LogField("exit_code", exit.exit_code),
                                 {"next", is_going ? "its worker is retiring" : "its worker is replaced"}});
    if (!is_going) worker->want_replacement(RecycleReason::keeper_lost);
  }
  advance();
}

unsigned Pool::recycle(std::optional<unsigned> slot, RecycleReason reason) {
  unsigned marked = 0;
  for (auto& [id, worker] : workers_) {
    if (worker->state() == WorkerState::retiring || worker->generation() != serving_->number) continue;
    if (slot && worker->slot() != *slot) continue;
    worker->want_replacement(reason);
    ++marked;
  }
  advance();
  return marked;
}

bool Pool::trace(std::optional<unsigned> slot, std::function<void(const std::vector<WorkerTrace>&)> done) {
  const control::Trace order{++last_trace_};
  std::vector<WorkerTrace> asked;
  for (auto& [id, worker] : workers_) {
    if (!worker->is_serving() || (slot && worker->slot() != *slot)) continue;
    asked.push_back({.slot = worker->slot(), .pid = worker->pid(), .generation = worker->generation()});
    if (auto sent = worker->send(order); !sent)  // its end shows elsewhere; here it is one that does not answer
      log_.debug("cannot ask a worker for a trace",
                 {{"pool", app().name}, {"worker", worker->slot()}, {"error", sent.error().text()}});
  }
  if (asked.empty()) return false;
  std::stable_sort(asked.begin(), asked.end(),
                   [](const auto& one, const auto& other) { return one.slot < other.slot; });
  traces_.push_back(std::make_unique<TraceRound>(
      io_, order.number, std::move(asked),
      [this, number = order.number, done = std::move(done)](const std::vector<WorkerTrace>& workers) {
        done(workers);
        std::erase_if(traces_, [number](const auto& round) { return round->number() == number; });
      }));
  return true;
}

TraceRound* Pool::find_trace(unsigned number) {
  const auto found =
      std::find_if(traces_.begin(), traces_.end(), [number](const auto& round) { return round->number() == number; });
  return found == traces_.end() ? nullptr : found->get();
}

void Pool::reopen_logs() {
  for (auto& [id, worker] : workers_)
    if (auto sent = worker->send(control::ReopenLogs{}); !sent)
      log_.warning("ignoring that a worker cannot be told to reopen its logs",
                   {{"pool", app().name}, {"worker", worker->slot()}, {"error", sent.error().text()}});
  for (const auto& zygote : zygotes_) {
    if (zygote->state() == ZygoteState::retiring) continue;
    if (auto sent = zygote->send(control::ReopenLogs{}); !sent && sent.error().code.value() != EPIPE)
      log_.warning("ignoring that a zygote cannot be told to reopen its log",
                   {{"pool", app().name}, {"pid", zygote->pid()}, {"error", sent.error().text()}});
  }
}

void Pool::grow() {
  if (is_stopping_ || is_scaled_by_load()) return;
  ++count_;
  if (slots_.size() < count_) slots_.resize(count_);
  log_.info("one worker more", {{"pool", app().name}, {"count", count_}});
  advance();
}

void Pool::shrink() {
  if (is_stopping_ || is_scaled_by_load()) return;
  if (count_ == 1) {
    log_.warning("ignoring: the last worker stays", {{"pool", app().name}});
    return;
  }
  --count_;
  log_.info("one worker less", {{"pool", app().name}, {"count", count_}});
  advance();
}

void Pool::announce_closes() {
  announces_closes_ = true;
  for (auto& [id, worker] : workers_) tell_of_closes(*worker);
}

void Pool::tell_of_closes(WorkerHandle& worker) {
  if (auto sent = worker.send(control::AnnounceCloses{}); !sent && sent.error().code.value() != EPIPE)
    log_.warning("cannot tell a worker to announce closes", {{"pool", app().name},
                                                             {"worker", worker.slot()},
                                                             {"pid", worker.pid()},
                                                             {"error", sent.error().text()},
                                                             {"next", "ignoring; the stop itself announces them"}});
}

void Pool::stop() {
  is_stopping_ = true;
  // Those that retire already expected others to go on with their connections.
  for (auto& [id, worker] : workers_)
    if (worker->state() == WorkerState::retiring && !worker->killed()) tell_to_retire(*worker);
  if (coming_) roll_back("stop", "the server stops", "");
  advance();
}

void Pool::stop_at_once() {
  is_stopping_ = true;
  if (coming_) roll_back("stop", "the server stops", "");
  const TimePoint now = clock_now();
  for (auto& [id, worker] : workers_)
    if (!worker->killed()) apply(Kill{id, KillCause::stop}, now);
  kill_zygotes();
}

std::set<unsigned> Pool::ready_slots() const {
  std::set<unsigned> slots;
  for (const auto& [id, worker] : workers_)
    if (worker->state() == WorkerState::ready && (worker->generation() == serving_->number || is_former(*worker)))
      slots.insert(worker->slot());
  return slots;
}

unsigned Pool::ready_count() const { return static_cast<unsigned>(ready_slots().size()); }

bool Pool::has_started() const {
  const std::set<unsigned> ready = ready_slots();
  if (ready.empty()) return false;
  for (unsigned slot = 1; slot <= count_; ++slot)
    if (!ready.contains(slot) && slots_[slot - 1].failures == 0) return false;
  return true;
}

bool Pool::has_process(pid_t pid) const {
  return std::any_of(workers_.begin(), workers_.end(),
                     [pid](const auto& entry) { return entry.second->pid() == pid; }) ||
         std::any_of(zygotes_.begin(), zygotes_.end(), [pid](const auto& zygote) { return zygote->pid() == pid; });
}

PoolStatus Pool::status() const {
  const TimePoint now = clock_now();
  PoolStatus status{.name = app().name,
                    .generation = serving_->number,
                    .count = count_,
                    .workers = {},
                    .recycled = recycled_,
                    .restarts = restarts_,
                    .reload = report_,
                    .totals = former_};
  for (const auto& [id, worker] : workers_) {
    status.totals += worker->report().counts;
    status.workers.push_back({.slot = worker->slot(),
                              .pid = worker->pid(),
                              .state = worker->state(),
                              .generation = worker->generation(),
                              .report = worker->report(),
                              .age = std::chrono::duration_cast<Duration>(now - worker->started()),
                              .keeper = worker->keeper(),
                              .running = running_requests(worker->connections(), now)});
  }
  status.zygotes = zygote_status();
  std::stable_sort(status.workers.begin(), status.workers.end(),
                   [](const WorkerStatus& one, const WorkerStatus& other) { return one.slot < other.slot; });
  return status;
}

PoolView Pool::draw() const {
  PoolView view{.count = count_,
                .is_stopping = is_stopping_,
                .at_once = app().recycle.at_once,
                .startup_timeout = app().workers.startup_timeout,
                .request_timeout = app().workers.request_timeout,
                .drain_timeout = app().recycle.drain_timeout,
                .kill_rss = app().recycle.kill_rss,
                .slots = {}};
  for (unsigned slot = 1; slot <= slots_.size(); ++slot)
    view.slots.push_back(
        {.slot = slot, .not_before = slots_[slot - 1].not_before, .current = {}, .successor = {}, .retiring = {}});
  if (coming_) {
    view.coming = ComingGenerationView{.wanted = reload_->plan.wanted(),
                                       .at_once = std::max(std::thread::hardware_concurrency(), 1U),
                                       .startup_timeout = coming_->app.workers.startup_timeout,
                                       .is_tried = is_tried()};
  }
  for (const auto& [id, worker] : workers_) {  // by age: the older of two is the current one
    SlotView& slot = view.slots[worker->slot() - 1];
    if (worker->state() == WorkerState::retiring) {
      slot.retiring.push_back(worker->view());
    } else if (is_coming(*worker)) {
      slot.coming = worker->view();
      slot.coming->is_coming = true;
    } else if (worker->generation() != serving_->number && !is_former(*worker)) {
      continue;  // killed with its generation; its exit is awaited
    } else if (!slot.current)
      slot.current = worker->view();
    else
      slot.successor = worker->view();
  }
  return view;
}

void Pool::advance() {
  const TimePoint now = clock_now();
  const PoolView view = draw();
#ifndef NDEBUG
  const std::string broken = broken_invariant(view);
  STINT_ASSERT(broken.empty());
#endif
  for (const Step& step : next_steps(view, now)) std::visit([&](const auto& known) { apply(known, now); }, step);
  advance_reload(now);
  tend_zygotes(now);
}

void Pool::apply(const Start& step, TimePoint now) {
  if (step.is_coming && !coming_) return;  // an earlier one of these steps has ended the reload
  const Generation& generation = step.is_coming ? *coming_ : *serving_;
  auto started = start_process(generation, step.slot, now);
  if (!started && step.is_coming) return roll_back("start", started.error().text(), "");
  if (!started) {
    if (!has_been_ready_ && !Spawner::is_transient(started.error())) {
      if (!has_failed_start_) log_.error("cannot start", {{"pool", app().name}, {"error", started.error().text()}});
      fail_start();
      return;
    }
    const Duration delay = back_off(step.slot, false, now);
    log_.warning("cannot start a worker", {{"pool", app().name},
                                           {"worker", step.slot},
                                           {"error", started.error().text()},
                                           {"next", "another attempt in " + seconds_text(delay)}});
    return;
  }
  if (!*started) return;
  const WorkerId id{next_id_++};
  const bool is_forked = !(**started).pidfd.is_open();
  const auto worker = workers_
                          .emplace(id, std::make_unique<WorkerHandle>(io_, id,
                                                                      WorkerRecord{.slot = step.slot,
                                                                                   .generation = generation.number,
                                                                                   .started = now,
                                                                                   .is_forked = is_forked},
                                                                      std::move(**started)))
                          .first->second.get();
  if (step.is_coming) ++report_.started;
  if (announces_closes_) tell_of_closes(*worker);
  watch_channel(*worker);
  if (is_forked) return;  // it tells of itself
  log_.info("worker started",
            {{"pool", app().name}, {"gen", generation.number}, {"worker", worker->slot()}, {"pid", worker->pid()}});
  watch_exit(*worker);
}

void Pool::apply(const Retire& step, TimePoint now) {
  WorkerHandle* worker = find(step.worker);
  STINT_ASSERT(worker != nullptr);
  worker->retire(step.cause, now);
  if (step.cause == RetireCause::recycle) ++recycled_[*worker->recycle_reason()];
  if (step.cause == RetireCause::reload) ++recycled_[RecycleReason::reload];
  log_.info("worker retiring", {{"pool", app().name},
                                {"gen", worker->generation()},
                                {"worker", worker->slot()},
                                {"pid", worker->pid()},
                                {"reason", worker->reason_text()},
                                {"requests", worker->report().counts.requests}});
  tell_to_retire(*worker);
}

void Pool::tell_to_retire(WorkerHandle& worker) {
  // At a stop nobody is left to take what waits in the listeners' queues, so those who go take it.
  const control::Retire message{worker.reason_text(), is_stopping_, listens_elsewhere_.contains(worker.generation()),
                                worker.record().becomes_zygote && !is_stopping_};
  if (auto sent = worker.send(message); !sent && sent.error().code.value() != EPIPE)  // EPIPE: it is ending already
    log_.warning("cannot tell a worker to retire",
                 {{"pool", app().name},
                  {"worker", worker.slot()},
                  {"pid", worker.pid()},
                  {"error", sent.error().text()},
                  {"next", "it is killed in " + seconds_text(app().recycle.drain_timeout + exit_handlers_time)}});
}

void Pool::apply(const Kill& step, TimePoint now) {
  WorkerHandle* worker = find(step.worker);
  STINT_ASSERT(worker != nullptr);
  worker->mark_killed(step.why);
  // Read by the keeper when the worker is dead.
  auto& verdict = worker->connections().header().verdict;
  if (step.why == KillCause::request_timeout) verdict.store(control::Verdict::timed_out, std::memory_order_release);
  if (step.why == KillCause::kill_rss) verdict.store(control::Verdict::memory, std::memory_order_release);
  if (!is_wanted_no_more(step.why)) {
    const WorkerReport report = worker->report();
    const auto busy = report.is_busy ? now - report.busy_since : TimePoint::duration{};
    log_.warning("killing a worker", {{"pool", app().name},
                                      {"gen", worker->generation()},
                                      {"worker", worker->slot()},
                                      {"pid", worker->pid()},
                                      {"reason", text_of(step.why)},
                                      {"busy", busy},
                                      {"private_memory", mebibytes_text(worker->private_memory())},
                                      {"age", now - worker->started()},
                                      {"running", text_of(running_requests(worker->connections(), now))}});
  }
  if (!worker->has_process()) return give_up_fork(*worker, step.why);
  // One that still boots has no connections to rescue, and may be waiting for a program of its own.
  if (worker->state() == WorkerState::booting) worker->kill_group();
  if (auto sent = worker->send_signal(SIGKILL); !sent && sent.error().code.value() != ESRCH)
    log_.error("cannot kill a worker",
               {{"pool", app().name}, {"worker", worker->slot()}, {"error", sent.error().text()}});
}

void Pool::watch_channel(WorkerHandle& worker) {
  worker.wait_for_message([this, id = worker.id()] { on_channel(id); });
}

void Pool::watch_exit(WorkerHandle& worker) {
  worker.wait_for_exit([this, id = worker.id()] { on_exit(id); });
}

void Pool::on_channel(WorkerId id) {
  WorkerHandle* worker = find(id);
  if (worker == nullptr) return;  // its exit was seen first, and what it had said was read then
  const TimePoint now = clock_now();
  read_messages(*worker, now);
  if (worker->is_zygote_now())
    turn_into_zygote(*worker, now);
  else if (!worker->view().channel_lost_at)
    watch_channel(*worker);
  else if (!worker->has_process())
    finish(*worker, {.exit_code = 1, .signal = 0}, now);
  advance();
  on_change_();
}

void Pool::read_messages(WorkerHandle& worker, TimePoint now) {
  for (int i = 0; i < max_messages_in_a_row; ++i) {
    const auto sender = worker.has_process() ? std::nullopt : worker.sender();
    auto message = worker.receive();
    if (message && !*message) return;
    if (message && std::holds_alternative<control::Drained>(**message)) worker.mark_drained();
    if (message && std::holds_alternative<control::Forked>(**message)) {
      introduce(worker, sender);
    } else if (message) {
      on_message(worker, **message, now);
      if (worker.is_zygote_now()) return;  // what it says next, it says as a zygote
    } else if (message.error().code.value() == ECONNRESET) {
      worker.mark_channel_lost(now);
      return;
    } else {
      log_.warning(
          "ignoring what a worker said",
          {{"pool", app().name}, {"worker", worker.slot()}, {"pid", worker.pid()}, {"error", message.error().text()}});
    }
  }
}

void Pool::on_message(WorkerHandle& worker, const control::Message& message, TimePoint now) {
  bool is_in_order = true;
  if (std::holds_alternative<control::Warming>(message)) {
    is_in_order = worker.move(WorkerEvent::imported, now);
  } else if (const auto* ready = std::get_if<control::Ready>(&message)) {
    is_in_order = worker.move(WorkerEvent::warmed_up, now);
    if (worker.state() == WorkerState::ready && is_in_order) {
      has_been_ready_ = true;
      log_.info("worker ready", {{"pool", app().name},
                                 {"gen", worker.generation()},
                                 {"worker", worker.slot()},
                                 {"pid", worker.pid()},
                                 {"took", now - worker.started()},
                                 {"steps", text_of(ready->steps)},
                                 {"python", ready->python}});
      if (is_coming(worker))
        note_steps(ready->steps, now - worker.started());
      else
        let_serve(worker);
    }
  } else if (const auto* failed = std::get_if<control::StartFailed>(&message)) {
    on_start_failed(worker, failed->failure);
  } else if (const auto* wanted = std::get_if<control::RecycleWanted>(&message)) {
    worker.want_replacement(RecycleReason::worker_asked, wanted->reason);
  } else if (const auto* call = std::get_if<control::CallTrace>(&message)) {
    if (TraceRound* round = find_trace(call->trace)) round->take(worker.pid(), *call);
  } else if (const auto* done = std::get_if<control::TraceDone>(&message)) {
    if (TraceRound* round = find_trace(done->trace)) round->finish(worker.pid(), true);
  } else if (std::holds_alternative<control::Draining>(message)) {
    worker.mark_draining();
  } else if (std::holds_alternative<control::Drained>(message)) {
    log_.debug("worker drained", {{"pool", app().name}, {"worker", worker.slot()}, {"pid", worker.pid()}});
  } else {
    is_in_order = false;  // ours to say, not a worker's
  }
  if (!is_in_order)
    log_.warning("ignoring what a worker said",
                 {{"pool", app().name},
                  {"worker", worker.slot()},
                  {"pid", worker.pid()},
                  {"error", "not to be expected of a worker that is " + std::string(text_of(worker.state()))}});
}

// Before any worker has been ready a failed start is the server's failed start, told once; later it is one worker's,
// and the others go on serving.
void Pool::on_start_failed(const WorkerHandle& worker, const LoadFailure& failure) {
  if (is_stopping_) return;
  if (is_coming(worker)) return roll_back(failure.step, failure.summary, failure.traceback);
  if (worker.record().is_given_up) return;
  note_failed_replacement(worker, failure.step, failure.summary, failure.traceback);
  log_.write(LogLevel::error, has_been_ready_ ? "worker failed to start" : "cannot start",
             {{"pool", app().name},
              {"worker", worker.slot()},
              {"pid", worker.pid()},
              {"step", failure.step},
              {"error", failure.summary}},
             failure.traceback);
  if (!has_been_ready_) fail_start();
}

void Pool::fail_start() {
  has_failed_start_ = true;
  stop_at_once();
}

void Pool::on_exit(WorkerId id) {
  WorkerHandle* worker = find(id);
  if (worker == nullptr) return;  // it has become a zygote meanwhile, whose end it is
  const auto exit = worker->reap();
  if (!exit) {
    watch_exit(*worker);
    return;
  }
  const TimePoint now = clock_now();
  read_messages(*worker, now);  // its last words: why it could not start
  finish(*worker, *exit, now);
  advance();
  on_change_();
}

// The worker has ended, or will never begin.
void Pool::finish(WorkerHandle& worker, const ExitStatus& exit, TimePoint now) {
  const bool was_retiring = worker.state() == WorkerState::retiring;
  const bool was_sent_away = worker.killed() && is_wanted_no_more(*worker.killed());
  const bool was_asked_to_go = was_retiring || is_stopping_ || was_sent_away;
  const bool was_canary = is_coming(worker) && worker.is_serving();
  const bool has_served = worker.report().counts.requests > 0 || worker.ready_for(now) > long_service;
  const std::string_view step = step_of_end(worker);
  const std::string text = early_end_text(worker, exit);
  const bool fails_reload = !was_asked_to_go && is_coming(worker);
  worker.move(WorkerEvent::exited, now);
  if (fails_reload) roll_back(std::string(step), text, "");
  const bool was_given_up = worker.record().is_given_up && !was_retiring;

  if (fails_reload && was_canary) {
    ++restarts_;
    log_killers(worker, now);
    log_exit(worker, exit, false, "its generation does not serve");
  } else if (was_given_up) {
    log_exit(worker, exit, true, "its generation does not serve");
  } else if (!was_asked_to_go && !has_been_ready_) {
    log_.error("cannot start",
               {{"pool", app().name}, {"worker", worker.slot()}, {"pid", worker.pid()}, {"error", text}});
    fail_start();
  } else if (was_asked_to_go) {
    const bool is_orderly = (exit.signal == 0 && exit.exit_code == 0) || was_sent_away;
    log_exit(worker, exit, is_orderly, is_stopping_ ? "stopping" : "it was retiring");
  } else {
    ++restarts_;
    if (!worker.was_ready()) note_failed_replacement(worker, "start", text, "");
    const Duration delay = back_off(worker.slot(), has_served, now);
    log_killers(worker, now);
    log_exit(worker, exit, false,
             has_other_worker(worker) ? "another worker has its slot" : "restart in " + seconds_text(delay));
  }
  for (const auto& round : traces_) round->finish(worker.pid(), false);
  former_ += worker.report().counts;
  leave_keeper(worker);
  workers_.erase(worker.id());
}

// Of a reload, that this worker's end makes fail.
std::string_view Pool::step_of_end(const WorkerHandle& worker) const {
  if (worker.killed()) return text_of(*worker.killed());
  if (!worker.was_ready()) return "start";
  return worker.is_serving() ? "canary" : "settle";
}

// Why a worker has ended that was never ready, or soon after, when it said nothing itself.
std::string Pool::early_end_text(const WorkerHandle& worker, const ExitStatus& exit) const {
  const AppSettings& its = is_coming(worker) ? coming_->app : app();
  if (worker.killed() == KillCause::startup_timeout)
    return "the worker was not ready within " + seconds_text(its.workers.startup_timeout) +
           " (app.workers.startup_timeout)";
  if (!worker.has_process()) return "the worker's zygote has not forked it";
  const std::string when = is_coming(worker) && worker.is_serving() ? " while it was tried by clients"
                           : worker.was_ready()                     ? " soon after it was ready"
                                                                    : " before it was ready";
  if (worker.killed()) return "the worker was killed" + when + " (" + std::string(text_of(*worker.killed())) + ")";
  if (exit.signal != 0) return "the worker was ended by " + signal_name(exit.signal) + when;
  return "the worker exited with code " + std::to_string(exit.exit_code) + when;
}

Duration Pool::back_off(unsigned slot, bool has_served, TimePoint now) {
  Slot& state = slots_[slot - 1];
  const Restart restart = restart_after(state.failures, has_served);
  state.failures = restart.failures;
  state.not_before = now + restart.delay;
  return restart.delay;
}

// What the table says of a keeper is the worker's word: only a child of ours is waited for.
void Pool::leave_keeper(const WorkerHandle& worker) {
  const pid_t keeper = worker.keeper();
  siginfo_t info{};
  if (keeper <= 0 || has_process(keeper)) return;
  if (::waitid(P_PID, static_cast<id_t>(keeper), &info, WEXITED | WNOHANG | WNOWAIT) == 0) keepers_left_.insert(keeper);
}

std::string_view Pool::cause_of_death(const WorkerHandle& worker, const ExitStatus& exit) {
  if (worker.killed()) return text_of(*worker.killed());
  if (exit.signal == SIGKILL && oom_kills_.explain_a_death(clock_now())) return "oom_killer";
  return exit.signal != 0 ? "signal" : "exit";
}

// A request that an earlier worker died of as well.
void Pool::log_killers(const WorkerHandle& worker, TimePoint now) {
  for (const RunningRequest& request : running_requests(worker.connections(), now)) {
    if (request.attempts == 0 || !request.is_calling) continue;
    log_.error("a request has ended more than one worker", {{"pool", app().name},
                                                            {"worker", worker.slot()},
                                                            {"request", text_of({request})},
                                                            {"workers", request.attempts + 1},
                                                            {"next", "it is answered with an error"}});
  }
}

void Pool::log_exit(const WorkerHandle& worker, const ExitStatus& exit, bool is_expected,
                    const std::string& next_text) {
  const WorkerReport report = worker.report();
  const auto lived = clock_now() - worker.started();
  if (!worker.has_process()) {
    log_.write(is_expected || has_failed_start_ ? LogLevel::debug : LogLevel::warning, "worker not forked",
               {{"pool", app().name}, {"gen", worker.generation()}, {"worker", worker.slot()}, {"next", next_text}});
    return;
  }
  // After a failed start the one error says it all; what is swept up behind it is for those who look closely.
  if (is_expected || has_failed_start_) {
    log_.write(has_failed_start_ ? LogLevel::debug : LogLevel::info, "worker exited",
               {{"pool", app().name},
                {"gen", worker.generation()},
                {"worker", worker.slot()},
                {"pid", worker.pid()},
                {"requests", report.counts.requests},
                {"age", lived}});
    return;
  }
  log_.warning("worker died",
               {{"pool", app().name},
                {"gen", worker.generation()},
                {"worker", worker.slot()},
                {"pid", worker.pid()},
                exit.signal != 0 ? LogField("signal", signal_name(exit.signal)) : LogField("exit_code", exit.exit_code),
                {"requests", report.counts.requests},
                {"cause", cause_of_death(worker, exit)},
                {"private_memory", mebibytes_text(worker.private_memory())},
                {"age", lived},
                {"running", text_of(running_requests(worker.connections(), clock_now()))},
                {"next", next_text}});
}

WorkerHandle* Pool::find(WorkerId id) {
  const auto found = workers_.find(id);
  return found == workers_.end() ? nullptr : found->second.get();
}

bool Pool::has_other_worker(const WorkerHandle& worker) const {
  return std::any_of(workers_.begin(), workers_.end(), [&](const auto& entry) {
    return entry.second->id() != worker.id() && entry.second->slot() == worker.slot() && !is_coming(*entry.second) &&
           entry.second->state() != WorkerState::retiring;
  });
}

}  // namespace stint::supervisor
