// Speaks to the service manager that started us, as sd_notify(3), systemd.service(5) (Type=notify-reload) and
// sd_watchdog_enabled(3) say: datagrams of NAME=value lines to the socket that NOTIFY_SOCKET names. Supervisor's
// thread. Comes in: what the server is at, after every event. Goes out: what of that is news. Always: it never waits,
// and a manager that cannot be reached changes nothing for anybody else.
//
// Without libsystemd, which is a well-kept library: the protocol is documented, promised to stay, and for us one
// sendto(2); the library would bring libcap, libgcrypt, libgpg-error, liblzma, libzstd and liblz4 (ldd, Debian 12) into
// the one process that has to stay small and that nothing restarts, and would be missing where there is no systemd.
#pragma once

#include "server/supervisor/server_state.h"
#include "stint/log.h"
#include "stint/unique_fd.h"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace stint::supervisor {

// What the manager's variables say.
struct ServiceManagerSettings {
  std::string socket;                    // NOTIFY_SOCKET: "/path" or "@abstract"; empty: nobody wants to hear of us
  std::chrono::microseconds watchdog{};  // WATCHDOG_USEC: it wants a sign of life within this; 0: it does not
};

// Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and removes them from the environment, so that no application
// can speak for the server. Once a process, while it has one thread.
ServiceManagerSettings take_service_manager_settings();

// WATCHDOG_USEC of a manager that waits for `own_pid`, or does not say for whom; 0: none, or none for us.
std::chrono::microseconds watchdog_time(const std::optional<std::string>& usec, const std::optional<std::string>& pid,
                                        pid_t own_pid);

// The server as its manager sees it.
struct ServiceView {
  ServerState state = ServerState::starting;
  std::uint64_t reloads = 0;  // begun so far
  bool is_reloading = false;  // the last of them is not over
  std::string failed_reload;  // why the last one failed; empty: it did not
  unsigned ready = 0;         // slots with a ready worker
  unsigned workers = 0;       // slots
  unsigned generation = 0;
  bool operator==(const ServiceView&) const = default;
};

struct ServiceMoment {
  pid_t pid = 0;                          // ours
  std::chrono::microseconds monotonic{};  // CLOCK_MONOTONIC
  std::chrono::microseconds stop_time{};  // the longest that a stop takes, drain_delay included
};

// "serving, 4 of 4 workers ready, generation 1; the last reload failed: …". One line, whatever is in it.
std::string status_line(const ServiceView& view);

// The datagrams that tell of the way from `before` to `now`; none when there is no news. A pure function.
std::vector<std::string> messages_between(const ServiceView& before, const ServiceView& now,
                                          const ServiceMoment& moment);

class ServiceManager {
 public:
  // `log` outlives it.
  ServiceManager(ServiceManagerSettings settings, Log& log);

  // The manager knows this much already: it was told by the program that ran in this process before.
  void has_been_told(const ServiceView& known) { told_ = known; }
  // Tells what is new since the last time. What does not fit into the manager's queue is told at a later call.
  // `stop_time`: see ServiceMoment.
  void show(const ServiceView& now, std::chrono::microseconds stop_time);
  // The sign of life, when it is time for one: the loop turns. Call it often.
  void tick(std::chrono::steady_clock::time_point now);

 private:
  bool send(const std::string& message);  // false: the queue is full
  void complain(const std::string& what);

  const ServiceManagerSettings settings_;
  Log& log_;
  UniqueFd socket_;  // closed: there is nobody to tell
  ServiceView told_;
  std::chrono::steady_clock::time_point next_sign_{};
  bool has_complained_ = false;
};

}  // namespace stint::supervisor
