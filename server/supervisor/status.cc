#include "server/supervisor/status.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <algorithm>

namespace stint::supervisor {

namespace json = boost::json;

namespace {

std::int64_t seconds(Duration duration) { return std::chrono::duration_cast<std::chrono::seconds>(duration).count(); }

// The oldest, of a worker. Answers to thousands of slow readers would be more than anybody reads.
constexpr std::size_t most_running_shown = 50;

json::object json_of(const RunningRequest& request) {
  return json::object{
      {"id", request.id},
      {"method", request.method},
      {"target", request.target},
      {"ms", request.running_for.count()},
      {"answered_bytes", request.answered_bytes},
      {"attempts", request.attempts},
  };
}

json::object json_of(const WorkerStatus& worker, TimePoint now) {
  const WorkerReport& report = worker.report;
  json::value busy;  // null: idle
  if (report.is_busy) busy = std::chrono::duration_cast<Duration>(now - report.busy_since).count();
  json::array running;
  for (std::size_t i = 0; i < std::min(worker.running.size(), most_running_shown); ++i)
    running.push_back(json_of(worker.running[i]));
  return json::object{
      {"slot", worker.slot},
      {"pid", worker.pid},
      {"state", text_of(worker.state)},
      {"generation", worker.generation},
      {"requests", report.counts.requests},
      {"failures", report.counts.failures},
      {"bad_requests", report.counts.bad_requests()},
      {"connections", report.connections},
      {"is_full", report.is_full},
      {"busy_ms", busy},
      {"private_bytes", report.private_memory.count},
      {"age_s", seconds(worker.age)},
      {"keeper", worker.keeper == 0 ? json::value() : json::value(worker.keeper)},
      {"running", std::move(running)},
  };
}

// Reasons that never occurred are left out: there are many.
json::object json_of(const WorkerCounts& counts) {
  json::object refused;
  for (std::size_t i = 0; i < refusal_reasons; ++i) {
    if (counts.refused[i] > 0) refused[refusal_reason_names[i]] = counts.refused[i];
  }
  return json::object{
      {"requests", counts.requests},
      {"failures", counts.failures},
      {"clients_gone", counts.clients_gone},
      {"idle_timeouts", counts.idle_timeouts},
      {"write_timeouts", counts.write_timeouts},
      {"times_full", counts.times_full},
      {"dropped_fields", counts.dropped_fields},
      {"refused", std::move(refused)},
  };
}

json::object json_of(const PoolStatus& pool, TimePoint now) {
  json::array workers;
  for (const WorkerStatus& worker : pool.workers) workers.push_back(json_of(worker, now));
  json::object recycled;
  for (const auto& [reason, count] : pool.recycled) recycled[text_of(reason)] = count;
  return json::object{
      {"name", pool.name},
      {"generation", pool.generation},
      {"count", pool.count},
      {"workers", std::move(workers)},
      {"recycled", std::move(recycled)},
      {"restarts", pool.restarts},
      {"totals", json_of(pool.totals)},
  };
}

}  // namespace

std::string status_json(const ServerStatus& status, TimePoint now) {
  return json::serialize(json::object{
      {"version", STINT_VERSION},
      {"pid", status.pid},
      {"uptime_s", seconds(status.uptime)},
      {"state", status.state},
      {"listen", json::array(status.listen.begin(), status.listen.end())},
      {"pool", json_of(status.pool, now)},
      {"supervisor", json::object{{"rss_bytes", status.supervisor_memory.count}}},
  });
}

}  // namespace stint::supervisor
