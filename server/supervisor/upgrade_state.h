// What a supervisor hands to the program that replaces it in its process (upgrade.h): values, and numbers of
// descriptors that stay open. Text in between, so that another version can read it. Pure.
#pragma once

#include "server/net/unix_socket.h"
#include "server/supervisor/recycling_policy.h"
#include "server/supervisor/service_manager.h"
#include "server/supervisor/worker_handle.h"
#include "stint/result.h"
#include "stint/worker_report.h"

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stint::supervisor {

// Of what workers that run on share with workers of the program to come: their own numbers, so that a change of one
// does not hide behind another.
struct SharedFormats {
  unsigned status_page = 0;
  unsigned connection_table = 0;
  unsigned inbox = 0;
  bool operator==(const SharedFormats&) const = default;
};
SharedFormats own_formats();

struct SocketState {
  int socket = -1;
  std::optional<net::SocketFileId> file;  // of a unix socket that is ours to remove
};

struct WorkerUnderUpgrade {
  WorkerRecord record;
  pid_t pid = 0;
  int pidfd = -1;
  int channel = -1;
  int status_page = -1;
  int connection_table = -1;
};

struct PoolState {
  unsigned generation = 0;       // that serves
  unsigned last_generation = 0;  // ever begun
  unsigned count = 0;
  std::uint64_t reload = 0;  // number of the upgrade's report: the reload that follows has the same
  TimePoint reload_began{};
  std::uint64_t restarts = 0;
  std::map<RecycleReason, std::uint64_t> recycled;
  WorkerCounts former;
  std::vector<pid_t> keepers_left;
  std::vector<WorkerUnderUpgrade> workers;  // by age
};

struct UpgradeState {
  SharedFormats formats;
  std::string version;   // of the program that has written it
  std::string settings;  // those that count, as TOML
  TimePoint began{};     // the server
  ServiceManagerSettings service_manager;
  int inbox_put = -1;
  int inbox_take = -1;
  std::vector<std::vector<SocketState>> listeners;  // for each address of the settings
  std::optional<SocketState> control_socket;
  std::string control_path;
  PoolState pool;
};

std::string encode(const UpgradeState& state);
// The error names what is missing or wrong. Descriptors are only numbers here.
Result<UpgradeState> decode_upgrade_state(std::string_view text);

// All of them, to keep open.
std::vector<int> descriptors_of(const UpgradeState& state);

}  // namespace stint::supervisor
