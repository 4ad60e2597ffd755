// The supervisor: one thread, no interpreter, no bytes from strangers. It starts workers, watches them, decides by pure
// functions and obeys the operator. main.cc makes one in the role `serve` and returns what run() returns.
#pragma once

#include "server/net/listener.h"
#include "server/supervisor/service_manager.h"
#include "stint/log.h"
#include "stint/settings.h"
#include "stint/settings_change.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace stint::supervisor {

// For each address of settings.listen, in order: its listener, or all that an inherited address stands for.
using Listeners = std::vector<std::vector<net::Listener>>;

class Supervisor {
 public:
  // `settings_toml` is what the workers read: the same settings as text. `service_manager`: who wants to hear of us.
  // `reopen_own_log` is called at USR1, `read_settings` at a reload; `settings_file` is what that reads, for
  // reload.watch. `log` outlives the Supervisor. Nothing has happened before run().
  Supervisor(const Settings& settings, std::string settings_toml, Listeners listeners,
             ServiceManagerSettings service_manager, Log& log, std::function<void()> reopen_own_log,
             SettingsReader read_settings, std::string settings_file);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Serves until it is told to stop. 0: stopped as told; 1: could not start (logged). Leaves no worker, no socket file.
  // Once a process; takes over the signals TERM, INT, QUIT, HUP, USR1, TTIN, TTOU, and ignores PIPE.
  int run();

 private:
  class Server;
  std::unique_ptr<Server> server_;
};

}  // namespace stint::supervisor
