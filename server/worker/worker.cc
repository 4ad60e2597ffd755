#include "server/worker/worker.h"

#include "server/worker/forked_children.h"
#include "server/worker/keeper.h"
#include "server/worker/signals.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace stint::worker {

Worker::Worker(const Settings& settings, control::WorkerInheritance inheritance, RuntimeStarter start_runtime, Log& log,
               std::function<void()> reopen_log, std::function<void(const std::string&)> set_title)
    : settings_(settings),
      inheritance_(std::move(inheritance)),
      start_runtime_(std::move(start_runtime)),
      log_(log),
      reopen_log_(std::move(reopen_log)),
      set_title_(std::move(set_title)),
      channel_(std::move(inheritance_.channel)) {}

namespace {

// Each connection may hold a body's file beside its socket, and the application has files of its own.
void allow_descriptors(unsigned connections) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
  const rlim_t wanted = std::min<rlim_t>(limit.rlim_max, 2 * static_cast<rlim_t>(connections) + 1024);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));  // within the hard limit, which needs no right
}

}  // namespace

int Worker::run() {
  allow_descriptors(settings_.http.max_connections);
  if (const Result<void> kept = shared_table_ ? Result<void>() : start_keeper(); !kept.has_value()) {
    tell(control::StartFailed{{"keeper", kept.error().text(), {}}});
    return 1;
  }
  keep_from_forked_children();
  if (std::optional<LoadFailure> failure = start_application()) {
    tell(control::StartFailed{std::move(*failure)});
    return 1;
  }
  if (const Result<void> started = start_serving(); !started.has_value()) {
    tell(control::StartFailed{{"serve", started.error().text(), {}}});
    return 1;
  }
  start_limit_.disarm();
  tell(control::Ready{steps_, runtime_.python});
  crew_->run();
  crew_.reset();  // the main thread is alone again
  tell(control::Drained{});
  access_->flush();
  if (!becomes_zygote_) runtime_.runtime->shut_down();
  return 0;
}

Worker::Remains Worker::leave_application() {
  forget_signals();
  forget_forked_children();
  return {{std::move(runtime_), std::move(application_)}, channel_.release()};
}

void Worker::limit_start() { start_limit_.arm_behind_supervisor(inheritance_.startup_timeout, log_); }

void Worker::take(StartedApplication started, StartStep fork) {
  runtime_ = std::move(started.runtime);
  application_ = std::move(started.application);
  steps_ = {std::move(fork)};
}

// First of all: the keeper has to be cloned before there are threads, and it carries what memory the worker has by
// then.
Result<void> Worker::start_keeper() {
  Result<control::ConnectionTableView> table = control::ConnectionTableView::map(inheritance_.connection_table.get());
  if (!table.has_value()) return table.error();
  shared_table_ = std::make_unique<control::ConnectionTableView>(std::move(*table));

  const std::string place = settings_.app.name + "/" + std::to_string(inheritance_.slot);
  set_title_("keeper " + place);
  Result<UniqueFd> started = worker::start_keeper({.table = *shared_table_,
                                                   .inbox_put = inheritance_.inbox_put.get(),
                                                   .retries_interrupted = settings_.app.retry_interrupted});
  set_title_("worker " + place + " gen " + std::to_string(inheritance_.generation));
  if (!started.has_value()) {
    log_.warning("no keeper", {{"error", started.error().text()},
                               {"next", "serving without: if this worker dies, its connections are lost"}});
    return {};
  }
  watched_by_keeper_ = std::move(*started);
  return {};
}

// Those that the application forks already while it is imported are meant as well.
void Worker::keep_from_forked_children() {
  std::vector<int> ours{channel_.fd(), inheritance_.inbox_put.get(), inheritance_.inbox_take.get()};
  for (const UniqueFd& listener : inheritance_.listeners) ours.push_back(listener.get());
  close_in_forked_children(ours, shared_table_->size());
}

std::optional<LoadFailure> Worker::start_application() {
  const Result<int> signals = catch_signals();
  if (!signals.has_value()) return LoadFailure{"signals", signals.error().text(), {}};
  signal_watcher_.fd = *signals;

  if (application_) return std::nullopt;  // its zygote has started it
  StartedApplication started;
  std::optional<LoadFailure> failure =
      worker::start_application(settings_, start_runtime_, log_, [this] { tell(control::Warming{}); }, steps_, started);
  runtime_ = std::move(started.runtime);
  application_ = std::move(started.application);
  return failure;
}

Result<void> Worker::start_serving() {
  Result<control::StatusPage> page = control::StatusPage::map(inheritance_.status_page.get());
  if (!page.has_value()) return page.error();
  page_ = std::make_unique<control::StatusPage>(std::move(*page));

  Result<control::IdleWorkers> idle = control::IdleWorkers::map(inheritance_.idle_workers.get());
  if (!idle.has_value()) return idle.error();
  idle_workers_ = std::make_unique<control::IdleWorkers>(std::move(*idle));

  Result<std::unique_ptr<EventLoop>> loop = EventLoop::make();
  if (!loop.has_value()) return loop.error();
  loop_ = std::move(*loop);
  crew_ = std::make_unique<Crew>(*loop_, static_cast<CrewWork&>(*this), settings_.app.workers.threads,
                                 [this] { application_->prepare_thread(); });

  Result<std::unique_ptr<AccessLogger>> access = AccessLogger::make(settings_.log, *loop_, log_);
  if (!access.has_value()) return access.error();
  access_ = std::move(*access);

  Result<std::unique_ptr<PrivateMemory>> memory =
      PrivateMemory::make(*page_, settings_.app.recycle.max_rss, settings_.app.workers.start);
  if (!memory.has_value()) return memory.error();
  private_memory_ = std::move(*memory);

  std::vector<net::Listener> listeners;
  for (UniqueFd& socket : inheritance_.listeners) {
    Result<net::Listener> listener = net::adopt_listener(std::move(socket));
    if (!listener.has_value()) return listener.error();
    listeners.push_back(std::move(*listener));
  }
  services_ = std::make_unique<ConnectionServices>(settings_, inheritance_.slot, *application_, *loop_, crew_->lease(),
                                                   *page_, *shared_table_, inheritance_.inbox_put.get(), *access_,
                                                   *private_memory_, log_);
  services_->look_for_orders = [this] { read_channel(); };
  acceptor_ =
      std::make_unique<Acceptor>(std::move(listeners), std::move(inheritance_.inbox_take), *idle_workers_, *services_);
  balance_ = std::make_unique<Balance>(*services_, *acceptor_, *idle_workers_);
  drain_ = std::make_unique<Drain>(*services_, *acceptor_, settings_.app.recycle.drain_timeout,
                                   settings_.app.workers.raise_on_timeout);

  if (Result<std::unique_ptr<Tracer>> tracer = Tracer::make(*loop_, *runtime_.runtime); tracer.has_value()) {
    tracer_ = std::move(*tracer);
  } else {
    log_.warning("no stacks of running requests", {{"error", tracer.error().text()}, {"next", "serving without"}});
  }
  request_timeouts_ =
      std::make_unique<RequestTimeouts>(*services_, tracer_.get(), settings_.app.workers.raise_on_timeout);

  loop_->add(ticking_);
  tick();
  for (const auto& [fd, watcher] :
       {std::pair<int, Watcher*>{channel_.fd(), &channel_watcher_}, {signal_watcher_.fd, &signal_watcher_}}) {
    if (const Result<void> watched = loop_->watch(fd, EPOLLIN, *watcher); !watched.has_value()) return watched.error();
  }
  return crew_->start();
}

// Everything is ready, and its generation may serve.
void Worker::begin_to_serve() {
  if (drain_->has_begun()) return;
  const Result<void> started = acceptor_->start();
  if (started.has_value()) return balance_->announce();
  log_.error("cannot accept", {{"error", started.error().text()}, {"next", "asking to be replaced"}});
  tell(control::RecycleWanted{"cannot accept"});
}

void Worker::serve_waiting() {
  balance_->take_waiting();
  services_->dispatcher.serve_waiting();
  balance_->look();
  if (std::exchange(shall_tidy_, false)) services_->dispatcher.tidy(std::chrono::steady_clock::now());
  services_->table.empty_graveyard();
  drain_->look();
  // What they are doing is told first.
  if (drain_->waits_for_lost_calls() && (!tracer_ || tracer_->is_idle())) leave_calls_behind();
  if (const std::size_t open = services_->table.open(); open != published_connections_) {
    published_connections_ = open;
    page_->set_connections(static_cast<std::uint32_t>(open));
  }
  acceptor_->resume_if_room();
}

void Worker::tell(const control::Message& message) {
  if (!has_supervisor_) return;
  if (const Result<void> sent = channel_.send(message); !sent.has_value()) {
    log_.warning("supervisor not told",
                 {{"error", sent.error().text()}, {"next", "ignoring; its end shows on the channel"}});
  }
}

void Worker::read_channel() {
  for (;;) {
    Result<std::optional<control::Message>> received = channel_.receive();
    if (!received.has_value()) {
      if (received.error().code == boost::system::errc::connection_reset) return on_supervisor_gone();
      log_.error("message from the supervisor not understood",
                 {{"error", received.error().text()}, {"next", "ignoring"}});
      continue;
    }
    if (!*received) return;
    if (std::holds_alternative<control::Serve>(**received)) {
      begin_to_serve();
    } else if (const auto* retire = std::get_if<control::Retire>(&**received)) {
      const bool is_first = !drain_->has_begun();
      becomes_zygote_ = retire->becomes_zygote;
      drain_->begin(retire->takes_rest, retire->takes_waiting);
      balance_->announce();
      if (is_first) tell(control::Draining{});
    } else if (std::holds_alternative<control::AnnounceCloses>(**received)) {
      services_->is_leaving = true;
    } else if (std::holds_alternative<control::ReopenLogs>(**received)) {
      reopen_log_();
      access_->reopen();
    } else if (const auto* order = std::get_if<control::Trace>(&**received)) {
      trace(order->number);
    } else {
      log_.error("message from the supervisor not expected", {{"next", "ignoring"}});
    }
  }
}

// All calls that run now, one after the other; those that are over when it is their turn are left out.
void Worker::trace(unsigned number) {
  const std::vector<RunningCall> calls = tracer_ ? services_->calls.all() : std::vector<RunningCall>();
  for (const RunningCall& call : calls) {
    const bool is_last = call.number == calls.back().number;
    tracer_->trace(call.thread, [this, number, call, is_last](const ThreadTrace& trace) {
      const RunningCall* now = services_->calls.of_thread(call.thread);
      if (now != nullptr && now->number == call.number) {
        Connection::RunningRequest request = call.connection->running_request();
        const auto age = std::chrono::steady_clock::now() - call.began;
        tell(control::CallTrace{.trace = number,
                                .method = std::move(request.method),
                                .target = std::move(request.target),
                                .request = std::move(request.id),
                                .age = std::chrono::duration_cast<std::chrono::milliseconds>(age),
                                .thread = call.thread,
                                .lock = lock_text(services_->calls, call.thread, trace.lock_holder),
                                .stack = trace.stack});
      }
      if (is_last) tell(control::TraceDone{number});
    });
  }
  if (calls.empty()) tell(control::TraceDone{number});
}

void Worker::on_supervisor_gone() {
  log_.warning("supervisor gone", {{"next", "finishing what runs, then exiting"}});
  has_supervisor_ = false;
  becomes_zygote_ = false;
  loop_->unwatch(channel_.fd());
  drain_->begin(true);
}

void Worker::on_signal() {
  std::uint64_t count = 0;
  static_cast<void>(
      !::read(signal_watcher_.fd, &count, sizeof count));  // resets it; fails only when it is reset already
  if (!has_supervisor_ || drain_->has_begun()) return drain_->begin(true);
  tell(control::RecycleWanted{"signal"});
}

// All that is left are calls whose clients have had their 504. They may never return, and the main thread may be inside
// one of them, so there is nobody to run Python's exit handlers: whoever leads ends the process.
void Worker::leave_calls_behind() {
  for (const RunningCall& call : services_->calls.all()) {
    const Connection::RunningRequest request = call.connection->running_request();
    log_.warning("ending in the middle of a timed-out call", {{"method", request.method},
                                                              {"target", request.target},
                                                              {"request", request.id},
                                                              {"age", std::chrono::steady_clock::now() - call.began},
                                                              {"next", "exit without Python's exit handlers"}});
  }
  tell(control::Drained{});
  access_->flush();
  ::_exit(0);
}

void Worker::tick() {
  shall_tidy_ = true;
  acceptor_->look();
  balance_->announce();
  balance_->begin_to_even_out();
  private_memory_->look(std::chrono::steady_clock::now());
  ticking_.arm(tick_, std::chrono::steady_clock::now());
}

}  // namespace stint::worker
