#include "server/supervisor/supervisor.h"

#include "server/control/command.h"
#include "server/control/command_socket.h"
#include "server/control/inbox.h"
#include "server/supervisor/command_server.h"
#include "server/supervisor/log_files.h"
#include "server/supervisor/other_children.h"
#include "server/supervisor/pool.h"
#include "server/supervisor/server_state.h"
#include "server/supervisor/signal_names.h"
#include "server/supervisor/signals_blocked.h"
#include "server/supervisor/source_watch.h"
#include "server/supervisor/spawner.h"
#include "server/supervisor/status.h"
#include "stint/assert.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <optional>
#include <utility>

namespace stint::supervisor {

namespace asio = boost::asio;
namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

constexpr auto tick_interval = 50ms;
// It loads a program and reads some files; all workers go on meanwhile.
constexpr auto rehearsal_limit = 30s;
// A caught signal takes up to two rounds of the loop to its handler.
constexpr unsigned ticks_for_signals = 3;
// SIGKILL is obeyed at once, unless the kernel itself is stuck in a worker's system call; nobody can wait for that.
constexpr auto patience_after_kill = 5s;

Bytes own_resident_memory() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  statm >> total >> resident;
  return {resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE))};
}

std::string error_json(std::string_view sentence) { return json::serialize(json::object{{"error", sentence}}); }

}  // namespace

// What run() lives on. Members are in the order in which they need each other.
class Supervisor::Server {
 public:
  Server(const Settings& settings, std::string settings_toml, std::variant<FreshStart, Continuation> beginning,
         Program program, Log& log, std::function<void()> reopen_own_log, SettingsReader read_settings,
         std::string settings_file)
      : settings_(settings),
        settings_toml_(std::move(settings_toml)),
        beginning_(std::move(beginning)),
        program_(std::move(program)),
        log_(log),
        reopen_own_log_(std::move(reopen_own_log)),
        read_settings_(std::move(read_settings)),
        settings_file_(std::move(settings_file)) {}

  int run() {
    // A log that is a pipe may lose its reader; that is no reason to stop serving.
    std::signal(SIGPIPE, SIG_IGN);
    for (const int number : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU})
      signals_.add(number);
    hear_signals();
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

 private:
  using State = ServerState;

  Result<void> begin(FreshStart& start) {
    service_manager_settings_ = std::move(start.service_manager);
    service_manager_.emplace(service_manager_settings_, log_);
    listeners_ = std::move(start.listeners);
    STINT_ASSERT(listeners_.size() == settings_.listen.size());
    auto inbox = control::make_inbox();
    if (!inbox) return inbox.error();
    inbox_ = std::move(*inbox);
    auto first = Generation::make(io_, 1, settings_, settings_toml_, pointers_to(listeners_), inbox_);
    if (!first) return first.error();
    pool_.emplace(io_, std::move(*first), log_, [this] { on_change(); });
    return open_command_socket();
  }

  Result<void> open_command_socket() {
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

  void serve_commands(control::CommandSocket socket) {
    command_server_.emplace(io_, std::move(socket), [this](std::string_view request) { return answer(request); }, log_);
  }

  // All that upgrade_state() tells of, taken over from the program that ran in this process before.
  Result<void> go_on(const Continuation& continuation) {
    const UpgradeState& state = continuation.state;
    close_at_exec(descriptors_of(state));
    began_ = state.began;
    inbox_ = {UniqueFd(state.inbox_put), UniqueFd(state.inbox_take)};
    for (const auto& of_one_address : state.listeners) {
      auto& listeners = listeners_.emplace_back();
      for (const SocketState& known : of_one_address) {
        auto listener = net::adopt_listener(UniqueFd(known.socket));
        if (!listener) return listener.error();
        if (known.file) listener->file = net::SocketFile(*known.file);
        listeners.push_back(std::move(*listener));
      }
    }
    if (listeners_.size() != settings_.listen.size())
      return error_because("there are listeners of " + std::to_string(listeners_.size()) + " addresses for " +
                           std::to_string(settings_.listen.size()));
    auto generation =
        Generation::make(io_, state.pool.generation, settings_, settings_toml_, pointers_to(listeners_), inbox_);
    if (!generation) return generation.error();
    pool_.emplace(io_, std::move(*generation), log_, [this] { on_change(); });
    if (auto adopted = pool_->adopt(state.pool, state.version); !adopted) return adopted;
    if (state.control_socket) {
      const auto& known = *state.control_socket;
      serve_commands({{UniqueFd(known.socket), known.file ? net::SocketFile(*known.file) : net::SocketFile()},
                      state.control_path});
    }
    service_manager_settings_ = state.service_manager;
    service_manager_.emplace(service_manager_settings_, log_);
    state_ = State::serving;
    service_manager_->has_been_told(view());
    return {};
  }

  // Nothing has been closed yet, so the former program finds all that it left.
  int give_back(const Continuation& continuation, const Error& why) {
    if (!continuation.former_program.is_open()) return 1;
    const Error failure = go_back(continuation.former_program.get(), continuation.state_file.get(),
                                  descriptors_of(continuation.state), why.text(), program_);
    log_.error("cannot go back", {{"error", failure.text()}});
    return 1;
  }

  // This program runs; its workers come with a reload. Or it runs again.
  void finish_upgrade(Continuation& continuation) {
    continuation.state_file.reset();
    continuation.former_program.reset();
    if (!continuation.returned_because.empty()) return pool_->fail_upgrade("return", continuation.returned_because);
    log_.info("upgraded", {{"pool", settings_.app.name},
                           {"from", continuation.state.version},
                           {"to", STINT_VERSION},
                           {"program", program_.file},
                           {"next", "reloading"}});
    reload(false);
  }

  // A new program shows in a child that it can go on, and then does, in this process.
  Result<void> upgrade() {
    if (state_ != State::serving) return error_because("the server is " + std::string(text_of(state_)));
    if (pool_->is_upgrading()) return {};  // it is what was asked for
    if (pool_->is_reloading()) return error_because("a reload is under way; try again when it is done");
    pool_->begin_upgrade();
    log_.info(
        "upgrading",
        {{"pool", settings_.app.name}, {"from", STINT_VERSION}, {"program", program_.file}, {"next", "rehearsing"}});
    auto rehearsal = Rehearsal::start(io_, program_, upgrade_state(), rehearsal_limit,
                                      [this](Result<std::string> version) { on_rehearsed(std::move(version)); });
    if (rehearsal)
      rehearsal_ = std::move(*rehearsal);
    else
      pool_->fail_upgrade("rehearsal", rehearsal.error().text());
    return {};
  }

  void on_rehearsed(Result<std::string> version) {
    rehearsal_.reset();
    if (!version)
      pool_->fail_upgrade("rehearsal", version.error().text());
    else
      ticks_to_upgrade_ = ticks_for_signals;
    on_change();
  }

  void give_up_upgrade(std::string step, std::string why) {
    if (!pool_->is_upgrading()) return;
    rehearsal_.reset();
    ticks_to_upgrade_ = 0;
    hear_signals();
    pool_->fail_upgrade(std::move(step), std::move(why));
  }

  // At each tick. Signals wait first, so that the last one that was caught has come out of the loop before the loop
  // goes; and no operator is left in the middle of a word: those who come now wait in the socket's queue.
  void upgrade_if_due() {
    if (ticks_to_upgrade_ == 0) return;
    hold_signals();
    if (ticks_to_upgrade_ > 1) {
      --ticks_to_upgrade_;
      return;
    }
    if (command_server_ && command_server_->is_talking()) return;
    ticks_to_upgrade_ = 0;
    const Error error = replace_this_program(program_, upgrade_state());
    pool_->fail_upgrade("exec", error.text());
  }

  UpgradeState upgrade_state() const {
    UpgradeState state{.formats = own_formats(),
                       .version = STINT_VERSION,
                       .settings = settings_toml_,
                       .began = began_,
                       .service_manager = service_manager_settings_,
                       .inbox_put = inbox_.put.get(),
                       .inbox_take = inbox_.take.get(),
                       .listeners = {},
                       .control_socket = {},
                       .control_path = {},
                       .pool = pool_->state()};
    for (const auto& of_one_address : listeners_) {
      auto& sockets = state.listeners.emplace_back();
      for (const net::Listener& listener : of_one_address)
        sockets.push_back({listener.socket.get(), listener.file.id()});
    }
    if (command_server_) {
      const control::CommandSocket& socket = command_server_->socket();
      state.control_socket = {socket.fd(), socket.file()};
      state.control_path = socket.path();
    }
    return state;
  }

  void wait_for_signal() {
    signals_.async_wait([this](const boost::system::error_code& code, int number) {
      if (code) return;
      on_signal(number);
      wait_for_signal();
    });
  }

  void on_signal(int number) {
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
        reopen_logs();
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

  void tick_later() {
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
  void reopen_logs() {
    const Result<void> made = make_log_files(settings_.log, settings_.app.account);
    reopen_own_log_();
    if (!made)
      log_.warning("a log file cannot be made for the workers",
                   {{"error", made.error().text()}, {"next", "they go on with the old one"}});
    pool_->reopen_logs();
    log_.info("logs reopened");
  }

  void reap_others() {
    const auto has_its_own = [this](pid_t pid) {
      return pool_->has_process(pid) || (rehearsal_ && rehearsal_->pid() == pid);
    };
    for (const EndedChild& child : reap_other_children(has_its_own)) pool_->on_child_end(child.pid, child.exit);
  }

  // Reads the settings and starts a generation with them, or says why not. Nothing has changed before it takes over.
  void reload(bool only_settings) {
    if (rehearsal_ || ticks_to_upgrade_ > 0) give_up_upgrade("superseded", "a reload has begun");
    auto fresh = read_settings_(settings_);
    if (!fresh) return pool_->refuse_reload("settings", "the settings are not valid", fresh.error().text());
    const auto& changes = fresh->changes;
    const bool costs_nothing = std::all_of(changes.begin(), changes.end(), [](const SettingsChange& change) {
      return change.cost == ChangeCost::nothing || change.cost == ChangeCost::restart;
    });
    if (only_settings && costs_nothing && !pool_->is_reloading()) {
      settings_ = fresh->settings;
      settings_toml_ = fresh->toml;
      return pool_->take_up(settings_.app, std::move(fresh->changes));
    }
    if (auto made = make_log_files(fresh->settings.log, fresh->settings.app.account); !made)
      return pool_->refuse_reload("log", made.error().text(), "");
    Listeners opened;
    std::vector<const net::Listener*> sockets;
    if (auto found = sockets_of(fresh->settings, opened, sockets); !found)
      return pool_->refuse_reload("listen", found.error().text(), "");
    auto generation = Generation::make(io_, pool_->next_generation(), fresh->settings, fresh->toml, sockets, inbox_);
    if (!generation) return pool_->refuse_reload("prepare", generation.error().text(), "");
    opened_ = std::move(opened);
    pending_ = std::move(*fresh);
    pool_->reload(std::move(*generation), pending_.settings.reload, pending_.changes, [this] { take_over_settings(); });
  }

  // For development. What cannot be watched is told, and no reason not to serve.
  void watch_sources() {
    if (source_watch_ && settings_.reload.watch && watched_ == settings_.app.directory) return;
    source_watch_.reset();
    watched_ = settings_.app.directory;
    if (!settings_.reload.watch) return;
    auto watch = SourceWatch::make(io_, settings_.app.directory, settings_file_, [this] {
      if (state_ == State::stopping) return;
      have_sources_changed_ = true;
      on_change();
    });
    if (!watch) {
      log_.warning("sources not watched", {{"error", watch.error().text()}, {"next", "reload by hand"}});
      return;
    }
    source_watch_ = std::move(*watch);
    log_.info("watching sources", {{"folder", settings_.app.directory}, {"folders", source_watch_->folders()}});
    if (source_watch_->is_incomplete())
      log_.warning("not all sources are watched", {{"next", "raise fs.inotify.max_user_watches, or reload by hand"}});
  }

  // The listener of each address: one that is open already, also for a reload that this one supersedes, or one opened
  // now.
  Result<void> sockets_of(const Settings& settings, Listeners& opened, std::vector<const net::Listener*>& sockets) {
    for (const ListenAddress& address : settings.listen) {
      const auto known = std::find(settings_.listen.begin(), settings_.listen.end(), address);
      if (known != settings_.listen.end()) {
        add_pointers(listeners_[static_cast<std::size_t>(known - settings_.listen.begin())], sockets);
        continue;
      }
      const auto waiting = std::find_if(opened_.begin(), opened_.end(), [&address](const auto& listeners) {
        return listeners.size() == 1 && listeners.front().address == address;
      });
      if (waiting != opened_.end()) {
        opened.push_back(std::move(*waiting));
        opened_.erase(waiting);
      } else {
        auto listener = net::open_listener(address, socket_group_of(settings.app));
        if (!listener) return listener.error();
        opened.emplace_back().push_back(std::move(*listener));
      }
      add_pointers(opened.back(), sockets);  // they stay: the inner vectors are moved as a whole
    }
    return {};
  }

  // The Pool's new generation serves. Listeners that are wanted no more are closed here; old workers let theirs go.
  void take_over_settings() {
    Listeners listeners;
    std::size_t next_opened = 0;
    for (const ListenAddress& address : pending_.settings.listen) {
      const auto known = std::find(settings_.listen.begin(), settings_.listen.end(), address);
      listeners.push_back(known == settings_.listen.end()
                              ? std::move(opened_[next_opened++])
                              : std::move(listeners_[static_cast<std::size_t>(known - settings_.listen.begin())]));
    }
    listeners_ = std::move(listeners);
    opened_.clear();
    settings_ = std::move(pending_.settings);
    settings_toml_ = std::move(pending_.toml);
    watch_sources();
  }

  Duration longest_stop() const {
    return settings_.app.recycle.drain_timeout + exit_handlers_time + patience_after_kill;
  }

  // Stops as soon as those who send clients here know of it. Who has not yet served has none.
  void leave(const std::string& reason) {
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

  void stop(const std::string& reason) {
    if (state_ == State::stopping) return;
    state_ = State::stopping;
    log_.info(
        "stopping",
        {{"reason", reason}, {"pool", settings_.app.name}, {"drain_timeout", settings_.app.recycle.drain_timeout}});
    end_limit_ = std::chrono::steady_clock::now() + longest_stop();
    pool_->stop();
    close_sockets();
  }

  void stop_at_once(const std::string& reason) {
    give_up_upgrade("stop", "the server stops");
    state_ = State::stopping;
    log_.info("stopping at once", {{"reason", reason}, {"pool", settings_.app.name}});
    end_limit_ = std::chrono::steady_clock::now() + patience_after_kill;
    pool_->stop_at_once();
    close_sockets();
  }

  // All workers have been told to go, and they alone hold the sockets now: when the last of them closes, a connection
  // is refused, and one in the inbox closed, instead of left waiting.
  void close_sockets() {
    pool_->close_listeners();
    listeners_.clear();
    inbox_ = {};
  }

  // After anything has happened to a worker.
  void on_change() {
    if (pool_->has_failed_start() && state_ == State::starting) {
      state_ = State::stopping;
      end_limit_ = std::chrono::steady_clock::now() + patience_after_kill;
      close_sockets();
    }
    if (state_ == State::starting && pool_->is_complete()) {
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

  ServiceView view() const {
    return {.state = state_,
            .reloads = pool_->reload_report().id,
            .is_reloading = pool_->is_reloading(),
            .failed_reload = pool_->reload_report().error,
            .ready = pool_->ready_count(),
            .workers = pool_->count(),
            .generation = pool_->generation()};
  }

  static void add_pointers(const std::vector<net::Listener>& listeners, std::vector<const net::Listener*>& pointers) {
    for (const net::Listener& listener : listeners) pointers.push_back(&listener);
  }

  static std::vector<const net::Listener*> pointers_to(const Listeners& listeners) {
    std::vector<const net::Listener*> pointers;
    for (const auto& of_one_address : listeners) add_pointers(of_one_address, pointers);
    return pointers;
  }

  std::vector<std::string> addresses() const {
    std::vector<std::string> addresses;
    for (const net::Listener* listener : pointers_to(listeners_)) addresses.push_back(listener->address.text());
    return addresses;
  }

  std::string listen_text() const {
    std::string text;
    for (const std::string& address : addresses()) text += (text.empty() ? "" : ",") + address;
    return text;
  }

  std::string answer(std::string_view request) {
    const auto command = control::decode_command(request);
    if (!command) return error_json(command.error().text());
    if (std::holds_alternative<control::StatusCommand>(*command)) return status();
    if (is_leaving(state_) && std::holds_alternative<control::RecycleCommand>(*command))
      return error_json("the server is stopping");
    if (const auto* recycle = std::get_if<control::RecycleCommand>(&*command)) {
      const unsigned workers = pool_->recycle(recycle->slot, RecycleReason::operator_asked);
      if (workers == 0)
        return error_json(recycle->slot ? "no worker in slot " + std::to_string(*recycle->slot)
                                        : "no worker to recycle");
      return json::serialize(json::object{{"ok", true}, {"workers", workers}});
    }
    if (const auto* order = std::get_if<control::ReloadCommand>(&*command)) {
      if (state_ != State::serving) return error_json("the server is " + std::string(text_of(state_)));
      reload(order->only_settings);
      return json::serialize(json::object{{"ok", true}, {"id", pool_->reload_report().id}});
    }
    if (std::holds_alternative<control::UpgradeCommand>(*command)) {
      if (auto begun = upgrade(); !begun) return error_json(begun.error().text());
      return json::serialize(json::object{{"ok", true}, {"id", pool_->reload_report().id}});
    }
    if (!is_leaving(state_)) leave("stint stop");
    return json::serialize(json::object{{"ok", true}, {"pid", ::getpid()}});
  }

  std::string status() const {
    const auto now = std::chrono::steady_clock::now();
    return status_json({.pid = ::getpid(),
                        .uptime = std::chrono::duration_cast<Duration>(now - began_),
                        .state = std::string(text_of(state_)),
                        .listen = addresses(),
                        .pool = pool_->status(),
                        .supervisor_memory = own_resident_memory()},
                       now);
  }

  Settings settings_;
  std::string settings_toml_;
  std::variant<FreshStart, Continuation> beginning_;
  const Program program_;
  Listeners listeners_;       // of settings_.listen
  control::InboxEnds inbox_;  // held open here so that what waits in it outlives any worker
  Log& log_;
  const std::function<void()> reopen_own_log_;
  ServiceManagerSettings service_manager_settings_;
  std::optional<ServiceManager> service_manager_;  // there from run() on
  const SettingsReader read_settings_;
  const std::string settings_file_;
  // During a reload: what counts when it takes over.
  FreshSettings pending_;
  Listeners opened_;                                    // for it, of those addresses that are new
  TimePoint began_ = std::chrono::steady_clock::now();  // the server, which may be older than this program

  asio::io_context io_{1};
  asio::signal_set signals_{io_};
  asio::steady_timer tick_{io_};
  std::optional<Pool> pool_;  // there from run() on
  std::unique_ptr<SourceWatch> source_watch_;
  std::string watched_;  // the folder
  bool have_sources_changed_ = false;
  std::optional<CommandServer> command_server_;
  std::unique_ptr<Rehearsal> rehearsal_;  // while there is one
  unsigned ticks_to_upgrade_ = 0;         // 0: none is due

  State state_ = State::starting;
  TimePoint drain_end_{};               // while draining
  std::optional<TimePoint> end_limit_;  // while stopping: when the last worker has to be gone
  bool is_finished_ = false;
};

Supervisor::Supervisor(const Settings& settings, std::string settings_toml,
                       std::variant<FreshStart, Continuation> beginning, Program program, Log& log,
                       std::function<void()> reopen_own_log, SettingsReader read_settings, std::string settings_file)
    : server_(std::make_unique<Server>(settings, std::move(settings_toml), std::move(beginning), std::move(program),
                                       log, std::move(reopen_own_log), std::move(read_settings),
                                       std::move(settings_file))) {}

Supervisor::~Supervisor() = default;

int Supervisor::run() { return server_->run(); }
}  // namespace stint::supervisor
