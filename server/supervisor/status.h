// What `stint status` is told: plain values, and their JSON. Pure.
#pragma once

#include "server/supervisor/recycling_policy.h"
#include "server/supervisor/reload_report.h"
#include "server/supervisor/running_requests.h"
#include "server/supervisor/worker_state.h"
#include "stint/bytes.h"
#include "stint/settings.h"
#include "stint/worker_report.h"

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace stint::supervisor {

struct WorkerStatus {
  unsigned slot = 0;
  pid_t pid = 0;
  WorkerState state = WorkerState::booting;
  unsigned generation = 0;
  WorkerReport report;
  Duration age{};
  pid_t keeper = 0;  // 0: it has none
  std::vector<RunningRequest> running;
};

struct ZygoteStatus {
  pid_t pid = 0;
  unsigned generation = 0;
  std::string state;  // "starting", "ready", "retiring"
};

struct PoolStatus {
  std::string name;
  unsigned generation = 0;
  unsigned count = 0;
  std::vector<WorkerStatus> workers;
  std::map<RecycleReason, std::uint64_t> recycled;  // workers told to retire, by reason
  std::uint64_t restarts = 0;                       // workers that died unasked
  ReloadReport reload;                              // the last
  WorkerCounts totals;                              // of all workers, those that are gone included
  std::vector<ZygoteStatus> zygotes;                // none but with start = "fork"
};

struct ServerStatus {
  pid_t pid = 0;
  Duration uptime{};
  std::string state;  // "starting", "serving", "draining", "stopping"
  std::vector<std::string> listen;
  PoolStatus pool;
  Bytes supervisor_memory;  // resident
};

std::string status_json(const ServerStatus& status, TimePoint now);

}  // namespace stint::supervisor
