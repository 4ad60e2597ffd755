// What Supervisor::run() lives on: the one thread's loop and all that it owns. Supervisor's own, not for others.
//
//   server.cc           its life: start, signals, ticks, stop
//   server_reload.cc    settings and listeners that change while it runs
//   server_upgrade.cc   another program in this process
//   server_commands.cc  what the operator asks
#pragma once

#include "server/control/command.h"
#include "server/control/inbox.h"
#include "server/supervisor/command_server.h"
#include "server/supervisor/pool.h"
#include "server/supervisor/server_state.h"
#include "server/supervisor/source_watch.h"
#include "server/supervisor/supervisor.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace stint::supervisor {

// Members are in the order in which they need each other.
class Supervisor::Server {
 public:
  Server(const Settings& settings, std::string settings_toml, std::variant<FreshStart, Continuation> beginning,
         Program program, Log& log, LogChanger change_own_log, SettingsReader read_settings, std::string settings_file);
  int run();

 private:
  using State = ServerState;

  Result<void> begin(FreshStart& start);
  Result<void> open_command_socket();
  void serve_commands(control::CommandSocket socket);
  void wait_for_signal();
  void on_signal(int number);
  void tick_later();
  Result<void> reopen_logs();
  Result<void> open_own_log();
  void reap_others();
  Duration longest_stop() const;
  void leave(const std::string& reason);
  void stop(const std::string& reason);
  void stop_at_once(const std::string& reason);
  void close_sockets();
  void on_change();
  ServiceView view() const;

  // server_reload.cc
  void reload(bool only_settings);
  Result<void> sockets_of(const Settings& settings, Listeners& opened, std::vector<const net::Listener*>& sockets);
  static void add_pointers(const std::vector<net::Listener>& listeners, std::vector<const net::Listener*>& pointers);
  static std::vector<const net::Listener*> pointers_to(const Listeners& listeners);
  void take_over_settings();
  void watch_sources();

  // server_upgrade.cc
  Result<void> upgrade();
  void on_rehearsed(Result<std::string> version);
  void give_up_upgrade(std::string step, std::string why);
  void upgrade_if_due();
  UpgradeState upgrade_state() const;
  Result<void> go_on(const Continuation& continuation);
  int give_back(const Continuation& continuation, const Error& why);
  void finish_upgrade(Continuation& continuation);

  // server_commands.cc
  void answer(std::string_view request, CommandServer::Reply reply);
  std::string answer_at_once(const control::Command& command);
  std::string status() const;
  std::vector<std::string> addresses() const;
  std::string listen_text() const;

  Settings settings_;
  std::string settings_toml_;
  std::variant<FreshStart, Continuation> beginning_;
  const Program program_;
  Listeners listeners_;       // of settings_.listen
  control::InboxEnds inbox_;  // held open here so that what waits in it outlives any worker
  Log& log_;
  const LogChanger change_own_log_;
  ServiceManagerSettings service_manager_settings_;
  std::optional<ServiceManager> service_manager_;  // there from run() on
  const SettingsReader read_settings_;
  const std::string settings_file_;
  // During a reload: what counts when it takes over.
  FreshSettings pending_;
  Listeners opened_;                                    // for it, of those addresses that are new
  TimePoint began_ = std::chrono::steady_clock::now();  // the server, which may be older than this program

  boost::asio::io_context io_{1};
  boost::asio::signal_set signals_{io_};
  boost::asio::steady_timer tick_{io_};
  std::optional<Pool> pool_;  // there from run() on
  std::unique_ptr<SourceWatch> source_watch_;
  std::string watched_;  // the folder
  bool have_sources_changed_ = false;
  std::optional<CommandServer> command_server_;
  std::unique_ptr<Rehearsal> rehearsal_;  // while there is one
  unsigned ticks_to_upgrade_ = 0;         // 0: none is due
  unsigned ticks_with_operator_ = 0;      // that it has waited for the end of a command

  State state_ = State::starting;
  TimePoint drain_end_{};               // while draining
  std::optional<TimePoint> end_limit_;  // while stopping: when the last worker has to be gone
  bool is_finished_ = false;
};

}  // namespace stint::supervisor
