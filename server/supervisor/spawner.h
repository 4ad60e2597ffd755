// Starts worker processes: exec of this very binary in the worker role, with the pool's listeners and inbox, a channel,
// a status page, a table of connections and the settings, and with nothing else of the supervisor's. Supervisor's
// thread.
#pragma once

#include "server/control/channel.h"
#include "server/control/connection_table.h"
#include "server/control/inbox.h"
#include "server/control/status_page.h"
#include "server/net/listener.h"
#include "server/supervisor/worker_rights.h"
#include "stint/result.h"
#include "stint/unique_fd.h"

#include <boost/asio/io_context.hpp>

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace stint::supervisor {

struct LaunchedProcess;  // launch.h

// The supervisor's ends of a worker that has just been started. The process is our child until it is reaped by pidfd.
struct StartedWorker {
  pid_t pid = -1;
  UniqueFd pidfd;
  control::Channel channel;
  control::StatusPage status_page;
  control::ConnectionTableView connections;
  UniqueFd status_page_file;  // kept for a program that replaces this one
  UniqueFd connection_table_file;
};

// Of a zygote likewise.
struct StartedZygote {
  pid_t pid = -1;
  UniqueFd pidfd;
  control::Channel channel;
};

class Spawner {
 public:
  // Of `app`, its user and limits count, and its environment, which is laid over our own. `listeners` and `inbox`
  // outlive the Spawner; when they have been closed no worker can be started. `connections` is the most that one worker
  // has. `executable` is "/proc/self/exe" but in tests: the same program even after its file was replaced.
  Spawner(boost::asio::io_context& io, const std::vector<net::Listener>& listeners, const control::InboxEnds& inbox,
          const AppSettings& app, std::uint32_t connections, std::string executable = "/proc/self/exe");

  // Makes what all workers share. Call it once, before the first start.
  Result<void> prepare(const std::string& settings_toml);
  // Those that start from here on read this. Error: there is no memory for it, and nothing has changed.
  Result<void> hand_down(const std::string& settings_toml);

  // Errors are transient when is_transient() says so: the machine lacks processes, memory or descriptors just now.
  Result<StartedWorker> start(unsigned slot, unsigned generation);
  // With start = "fork": a process that has all of a worker's rights and none of its descriptors but the channel and
  // the settings. From then on this process inherits orphans, which is how the zygote's workers become its children.
  Result<StartedZygote> start_zygote(unsigned generation);
  // Tells a zygote to fork a worker, which introduces itself on the channel (control::Forked): until then pid and pidfd
  // are missing. Error EPIPE: the zygote has gone.
  Result<StartedWorker> fork(control::Channel& zygote, unsigned slot, Duration startup_timeout);

  static bool is_transient(const Error& error);

 private:
  // A worker without a process, and what is the worker's of it.
  struct Beginning {
    StartedWorker worker;
    UniqueFd channel_end;
  };
  Result<Beginning> begin_worker() const;
  Result<UniqueFd> settings_to_inherit(const std::string& doing) const;
  Result<LaunchedProcess> execute(const std::vector<std::string>& arguments, std::vector<int> inherited,
                                  const std::string& doing);
  Result<void> hold_low_descriptors();

  boost::asio::io_context& io_;
  const std::vector<net::Listener>& listeners_;
  const control::InboxEnds& inbox_;
  const std::uint32_t connections_;
  const std::string executable_;
  const WorkerRights rights_;
  std::vector<std::string> environment_;  // "NAME=value"
  UniqueFd settings_;                     // sealed: a worker cannot change what the next one reads
  UniqueFd null_;                         // the workers' standard input
  std::vector<UniqueFd> held_;            // see hold_low_descriptors()
};

}  // namespace stint::supervisor
