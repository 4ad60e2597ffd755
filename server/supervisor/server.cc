#include "server/supervisor/server.h"

#include "server/control/command_socket.h"
#include "server/control/signals_blocked.h"
#include "server/supervisor/log_files.h"
#include "server/supervisor/other_children.h"
#include "server/supervisor/signal_names.h"
#include "stint/assert.h"

#include <unistd.h>

#include <chrono>
#include <csignal>

namespace stint::supervisor {

using namespace std::chrono_literals;

namespace {

constexpr auto tick_interval = 50ms;
// SIGKILL is obeyed at once, unless the kernel itself is stuck in a worker's system call; nobody can wait for that.
constexpr auto patience_after_kill = 5s;

}  // namespace

Supervisor::Server::Server(const Settings& settings, std::string settings_toml,
                           std::variant<FreshStart, Continuation> beginning, Program program, Log& log,
                           LogChanger change_own_log, SettingsReader read_settings, std::string settings_file)
    : settings_(settings),
      settings_toml_(std::move(settings_toml)),
      beginning_(std::move(beginning)),
      program_(std::move(program)),
      log_(log),
      change_own_log_(std::move(change_own_log)),
      read_settings_(std::move(read_settings)),
      settings_file_(std::move(settings_file)) {}

int Supervisor::Server::run() {
  // A log that is a pipe may lose its reader; that is no reason to stop serving.
  std::signal(SIGPIPE, SIG_IGN);
  for (const int number : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU}) signals_.add(number);
  control::hear_signals();
  auto* const start = std::get_if<FreshStart>(&beginning_);
  auto* const continuation = std::get_if<Continuation>(&beginning_);
  if (const Result<void> begun = start != nullptr ? begin(*start) : go_on(*continuation); !begun) {
    log_.error(start != nullptr ? "cannot start" : "cannot go on", {{"error", begun.error().text()}});
    if (continuation != nullptr) return give_back(*continuation, begun.error());
    return 1;
  }
  wait_for_signal();
  tick_later();
  watch_sources();
  if (start != nullptr)
    pool_->start();
  else
    finish_upgrade(*continuation);
  io_.run();
  command_server_.reset();  // its socket file with it
  return pool_->has_failed_start() ? 1 : 0;
}

Result<void> Supervisor::Server::begin(FreshStart& start) {
  service_manager_settings_ = std::move(start.service_manager);
  service_manager_.emplace(service_manager_settings_, log_);
  listeners_ = std::move(start.listeners);
  STINT_ASSERT(listeners_.size() == settings_.listen.size());
  if (::geteuid() == 0 && !settings_.app.account)
    log_.warning("the application runs as root", {{"pool", settings_.app.name}, {"next", "name its user in app.user"}});
  auto inbox = control::make_inbox();
  if (!inbox) return inbox.error();
  inbox_ = std::move(*inbox);
  auto first = Generation::make(io_, 1, settings_, settings_toml_, pointers_to(listeners_), inbox_);
  if (!first) return first.error();
  pool_.emplace(io_, std::move(*first), log_, [this] { on_change(); });
  return open_command_socket();
}

Result<void> Supervisor::Server::open_command_socket() {
  auto socket = control::CommandSocket::open(settings_.control_socket);
  if (!socket) {
    // One that was asked for has to be there; without the default one the server still does its work.
    if (!settings_.control_socket.empty()) return socket.error();
    log_.warning("no control socket: 'stint status' and its kin will not reach this server",
                 {{"error", socket.error().text()}});
    return {};
  }
  if (!socket->notice().empty()) log_.warning(socket->notice());
  serve_commands(std::move(*socket));
  return {};
}

void Supervisor::Server::serve_commands(control::CommandSocket socket) {
  command_server_.emplace(
      io_, std::move(socket),
      [this](std::string_view request, CommandServer::Reply reply) { answer(request, std::move(reply)); }, log_);
}

void Supervisor::Server::wait_for_signal() {
  signals_.async_wait([this](const boost::system::error_code& code, int number) {
    if (code) return;
    on_signal(number);
    wait_for_signal();
  });
}

void Supervisor::Server::on_signal(int number) {
  switch (number) {
    case SIGTERM:
    case SIGINT:
      if (state_ == State::stopping)
        stop_at_once(signal_name(number) + " again");
      else if (state_ == State::draining)
        stop(signal_name(number) + " again");
      else
        leave(signal_name(number));
      break;
    case SIGQUIT:
      stop_at_once(signal_name(number));
      break;
    case SIGHUP:
      if (state_ == State::serving)
        reload(false);
      else
        log_.warning("ignoring a reload", {{"pool", settings_.app.name}, {"state", text_of(state_)}});
      break;
    case SIGUSR1:
      static_cast<void>(reopen_logs());  // logged
      break;
    case SIGUSR2:
      if (auto begun = upgrade(); !begun)
        log_.warning("ignoring an upgrade", {{"pool", settings_.app.name}, {"error", begun.error().text()}});
      break;
    case SIGTTIN:
      pool_->grow();
      break;
    case SIGTTOU:
      pool_->shrink();
      break;
  }
  on_change();
}

void Supervisor::Server::tick_later() {
  tick_.expires_after(tick_interval);
  tick_.async_wait([this](const boost::system::error_code& code) {
    if (code) return;
    reap_others();
    pool_->tick();
    upgrade_if_due();
    service_manager_->tick(std::chrono::steady_clock::now());
    if (state_ == State::draining && std::chrono::steady_clock::now() >= drain_end_) stop("stop.drain_delay is over");
    if (end_limit_ && std::chrono::steady_clock::now() > *end_limit_) {
      log_.error("leaving workers behind that do not end", {{"pool", settings_.app.name}});
      io_.stop();
      return;
    }
    on_change();
    tick_later();
  });
}

// After rotation: the new files are there before the workers, whose user may not make them, open them.
Result<void> Supervisor::Server::reopen_logs() {
  const Result<void> own = open_own_log();
  const Result<void> access = make_access_log(settings_.log, settings_.app.account);
  if (!access.has_value())
    log_.warning("access log not opened",
                 {{"error", access.error().text()}, {"next", "workers stay with the old one"}});
  pool_->reopen_logs();
  if (!own.has_value()) return own;
  if (access.has_value()) log_.info("logs reopened");
  return access;
}

Result<void> Supervisor::Server::open_own_log() {
  Result<UniqueFd> file = make_error_log(settings_.log, settings_.app.account);
  const Result<void> changed =
      file.has_value() ? change_own_log_(settings_.log, std::move(*file)) : Result<void>(file.error());
  if (!changed.has_value())
    log_.warning("log not opened", {{"error", changed.error().text()}, {"next", "the old one stays in use"}});
  return changed;
}

void Supervisor::Server::reap_others() {
  const auto has_its_own = [this](pid_t pid) {
    return pool_->has_process(pid) || pool_->waits_for_forks() || (rehearsal_ && rehearsal_->pid() == pid);
  };
  for (const EndedChild& child : reap_other_children(has_its_own)) pool_->on_child_end(child.pid, child.exit);
}

Duration Supervisor::Server::longest_stop() const {
  return settings_.app.recycle.drain_timeout + exit_handlers_time + patience_after_kill;
}

// Stops as soon as those who send clients here know of it. Who has not yet served has none.
void Supervisor::Server::leave(const std::string& reason) {
  give_up_upgrade("stop", "the server stops");
  const Duration delay = settings_.stop.drain_delay;
  if (state_ != State::serving || delay == Duration::zero()) return stop(reason);
  state_ = State::draining;
  drain_end_ = std::chrono::steady_clock::now() + delay;
  log_.info("draining", {{"reason", reason},
                         {"pool", settings_.app.name},
                         {"drain_delay", delay},
                         {"next", "serving on with announced closes, then stopping"}});
  pool_->announce_closes();
}

void Supervisor::Server::stop(const std::string& reason) {
  if (state_ == State::stopping) return;
  state_ = State::stopping;
  log_.info("stopping",
            {{"reason", reason}, {"pool", settings_.app.name}, {"drain_timeout", settings_.app.recycle.drain_timeout}});
  end_limit_ = std::chrono::steady_clock::now() + longest_stop();
  pool_->stop();
  close_sockets();
}

void Supervisor::Server::stop_at_once(const std::string& reason) {
  give_up_upgrade("stop", "the server stops");
  state_ = State::stopping;
  log_.info("stopping at once", {{"reason", reason}, {"pool", settings_.app.name}});
  end_limit_ = std::chrono::steady_clock::now() + patience_after_kill;
  pool_->stop_at_once();
  close_sockets();
}

// All workers have been told to go, and they alone hold the sockets now: when the last of them closes, a connection
// is refused, and one in the inbox closed, instead of left waiting.
void Supervisor::Server::close_sockets() {
  pool_->close_listeners();
  listeners_.clear();
  inbox_ = {};
}

// After anything has happened to a worker.
void Supervisor::Server::on_change() {
  if (pool_->has_failed_start() && state_ == State::starting) {
    state_ = State::stopping;
    end_limit_ = std::chrono::steady_clock::now() + patience_after_kill;
    close_sockets();
  }
  if (state_ == State::starting && pool_->has_started()) {
    state_ = State::serving;
    log_.info("serving", {{"listen", listen_text()}, {"pool", settings_.app.name}, {"workers", pool_->count()}});
  }
  if (state_ == State::serving && std::exchange(have_sources_changed_, false)) {
    log_.info("sources changed", {{"pool", settings_.app.name}, {"next", "reloading"}});
    reload(false);
  }
  service_manager_->show(view(), settings_.stop.drain_delay + longest_stop());
  if (state_ == State::stopping) reap_others();
  if (state_ == State::stopping && pool_->is_empty() && !is_finished_) {
    is_finished_ = true;
    if (!pool_->has_failed_start()) log_.info("stopped");
    io_.stop();
  }
}

ServiceView Supervisor::Server::view() const {
  return {.state = state_,
          .reloads = pool_->reload_report().id,
          .is_reloading = pool_->is_reloading(),
          .failed_reload = pool_->reload_report().error,
          .ready = pool_->ready_count(),
          .workers = pool_->count(),
          .generation = pool_->generation()};
}

}  // namespace stint::supervisor
