// The requests that a worker is at, read from its table of connections: also when the worker is stuck, or dead.
#pragma once

#include "server/control/connection_table.h"
#include "stint/settings.h"
#include "stint/worker_report.h"

#include <cstdint>
#include <string>
#include <vector>

namespace stint::supervisor {

// Texts are printable ASCII: clients may send anything, and people read this in terminals.
struct RunningRequest {
  std::string id;
  std::string method;
  std::string target;  // its first 200 bytes
  Duration running_for{};
  std::uint64_t answered_bytes = 0;
  unsigned attempts = 0;    // workers that died at it before
  bool is_calling = false;  // nothing of its answer is out
};

// The oldest first. Safe while the worker writes: a request that changes under our eyes is left out.
std::vector<RunningRequest> running_requests(const control::ConnectionTableView& connections, TimePoint now);

// "GET /slow id=5f2a… 1520ms, POST /x …, and 3 more"; "none".
std::string text_of(const std::vector<RunningRequest>& requests);

}  // namespace stint::supervisor
