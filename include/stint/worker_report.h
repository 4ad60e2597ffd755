// What a worker tells about itself, as plain values: written by the worker into its status page
// (server/control/status_page), read by the supervisor for its policies and by `stint status`.
#pragma once

#include "stint/bytes.h"

#include <chrono>
#include <cstdint>

namespace stint {

using TimePoint = std::chrono::steady_clock::time_point;  // CLOCK_MONOTONIC: the same in all processes

struct WorkerReport {
  std::uint64_t requests = 0;      // answered, static files included
  std::uint64_t failures = 0;      // answered 500 because the application raised
  std::uint64_t bad_requests = 0;  // refused before the application saw them
  std::uint32_t connections = 0;   // open now
  bool is_busy = false;            // a call into the application is running
  TimePoint busy_since{};          // when it began, while is_busy
  Bytes private_memory;            // RssAnon at the last look (after requests, at most every 100 ms)
};

}  // namespace stint
