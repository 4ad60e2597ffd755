// The supervisor: one thread, no interpreter, no bytes from strangers. It starts workers, watches them, decides by pure
// functions and obeys the operator. main.cc makes one in the role `serve` and returns what run() returns.
#pragma once

#include "server/net/listener.h"
#include "server/supervisor/service_manager.h"
#include "server/supervisor/upgrade.h"
#include "server/supervisor/upgrade_state.h"
#include "stint/log.h"
#include "stint/settings.h"
#include "stint/settings_change.h"

#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace stint::supervisor {

// For each address of settings.listen, in order: its listener, or all that an inherited address stands for.
using Listeners = std::vector<std::vector<net::Listener>>;

// Has the supervisor's own log written as the settings say; `file` is that of log.error where it is open. Error: it
// cannot be opened, and the old one stays in use.
using LogChanger = std::function<Result<void>(const LogSettings&, UniqueFd file)>;

// A server begins, or goes on with what another program in this process has left (upgrade.h).
struct FreshStart {
  Listeners listeners;
  ServiceManagerSettings service_manager;  // who wants to hear of us
};
struct Continuation {
  UpgradeState state;  // checked: check_adoption()
  UniqueFd state_file;
  UniqueFd former_program;       // gets the process back when this one cannot go on
  std::string returned_because;  // not empty: this is the former one, and why it has got it back
};

class Supervisor {
 public:
  // `settings_toml` is what the workers read: the same settings as text. `program`: what an upgrade executes.
  // `change_own_log` is called at USR1 and when a reload has changed it, `read_settings` at a reload; `settings_file`
  // is what that reads, for reload.watch. `log` outlives the Supervisor. Nothing has happened before run().
  Supervisor(const Settings& settings, std::string settings_toml, std::variant<FreshStart, Continuation> beginning,
             Program program, Log& log, LogChanger change_own_log, SettingsReader read_settings,
             std::string settings_file);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Serves until it is told to stop. 0: stopped as told; 1: could not start (logged). Leaves no worker, no socket file.
  // Once a process; takes over the signals TERM, INT, QUIT, HUP, USR1, USR2, TTIN, TTOU, and ignores PIPE. Does not
  // return after an upgrade.
  int run();

 private:
  class Server;
  std::unique_ptr<Server> server_;
};

}  // namespace stint::supervisor
