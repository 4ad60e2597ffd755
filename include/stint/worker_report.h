// What a worker tells about itself, as plain values: written by the worker into its status page
// (server/control/status_page), read by the supervisor for its policies and by `stint status`.
#pragma once

#include "stint/bytes.h"
#include "stint/refusal_reason.h"

#include <array>
#include <chrono>
#include <cstdint>

namespace stint {

using TimePoint = std::chrono::steady_clock::time_point;  // CLOCK_MONOTONIC: the same in all processes

// What has happened since the worker began. A pool adds what its former workers had counted.
struct WorkerCounts {
  std::uint64_t requests = 0;          // answered, static files included
  std::uint64_t server_errors = 0;     // answers with a status of 500 and above
  std::uint64_t failures = 0;          // answered 500 because the application raised
  std::uint64_t clients_gone = 0;      // left before they had their whole answer (499 in the access log)
  std::uint64_t idle_timeouts = 0;     // connections closed after http.idle_timeout
  std::uint64_t write_timeouts = 0;    // answers given up after http.write_timeout
  std::uint64_t request_timeouts = 0;  // answered 504 after app.workers.request_timeout
  std::uint64_t times_full = 0;        // stopped accepting at http.max_connections
  std::uint64_t dropped_fields = 0;    // header fields with "_" in their name
  std::array<std::uint64_t, refusal_reasons> refused{};  // before the application saw them; by RefusalReason

  [[nodiscard]] std::uint64_t bad_requests() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : refused) sum += count;
    return sum;
  }
  WorkerCounts& operator+=(const WorkerCounts& other) {
    requests += other.requests;
    server_errors += other.server_errors;
    failures += other.failures;
    clients_gone += other.clients_gone;
    idle_timeouts += other.idle_timeouts;
    write_timeouts += other.write_timeouts;
    request_timeouts += other.request_timeouts;
    times_full += other.times_full;
    dropped_fields += other.dropped_fields;
    for (std::size_t i = 0; i < refusal_reasons; ++i) refused[i] += other.refused[i];
    return *this;
  }
};

struct WorkerReport {
  WorkerCounts counts;
  std::uint32_t connections = 0;  // open now
  bool is_full = false;           // at http.max_connections: accepts none now
  std::uint32_t calls = 0;        // into the application, running now
  // One of them is silent, and has been since then: it began, or its client got a part of its answer. Those that wait
  // for their clients do not count, nor those that have been answered without.
  bool is_busy = false;
  TimePoint busy_since{};
  Bytes private_memory;  // RssAnon at the last look (after requests, at most every 100 ms)
};

}  // namespace stint
