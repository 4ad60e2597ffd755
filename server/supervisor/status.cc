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
      {"server_errors", counts.server_errors},
      {"failures", counts.failures},
      {"clients_gone", counts.clients_gone},
      {"idle_timeouts", counts.idle_timeouts},
      {"write_timeouts", counts.write_timeouts},
      {"request_timeouts", counts.request_timeouts},
      {"times_full", counts.times_full},
      {"dropped_fields", counts.dropped_fields},
      {"refused", std::move(refused)},
  };
}

std::string_view text_of(ReloadReport::State state) {
  switch (state) {
    case ReloadReport::State::none:
      return "none";
    case ReloadReport::State::running:
      return "running";
    case ReloadReport::State::passing:
      return "passing";
    case ReloadReport::State::done:
      return "done";
    case ReloadReport::State::failed:
      return "failed";
  }
  return "";
}

std::string_view text_of(ChangeCost cost) {
  switch (cost) {
    case ChangeCost::nothing:
      return "nothing";
    case ChangeCost::recycle:
      return "recycle";
    case ChangeCost::new_generation:
      return "new_generation";
    case ChangeCost::restart:
      return "restart";
  }
  return "";
}

json::object json_of(const ReloadReport& report) {
  json::array changes, steps;
  for (const SettingsChange& change : report.changes)
    changes.push_back(
        json::object{{"key", change.key}, {"from", change.from}, {"to", change.to}, {"costs", text_of(change.cost)}});
  for (const StartStep& step : report.steps)
    steps.push_back(json::object{{"name", step.name}, {"us", step.took.count()}});
  return json::object{
      {"state", text_of(report.state)},
      {"id", report.id},
      {"from", report.from},
      {"to", report.to},
      {"phase", report.phase},
      {"upgrade_from", report.upgrade_from},
      {"has_new_program", report.has_new_program},
      {"has_taken_over", report.has_taken_over},
      {"beside", report.beside},
      {"started", report.started},
      {"changes", std::move(changes)},
      {"step", report.step},
      {"error", report.error},
      {"detail", report.detail},
      {"steps", std::move(steps)},
      {"took_ms", report.took.count()},
  };
}

json::object json_of(const PoolStatus& pool, TimePoint now) {
  json::array workers;
  for (const WorkerStatus& worker : pool.workers) workers.push_back(json_of(worker, now));
  json::array zygotes;
  for (const ZygoteStatus& zygote : pool.zygotes)
    zygotes.push_back(json::object{{"pid", zygote.pid}, {"generation", zygote.generation}, {"state", zygote.state}});
  json::object recycled;
  for (const auto& [reason, count] : pool.recycled) recycled[text_of(reason)] = count;
  return json::object{
      {"name", pool.name},
      {"generation", pool.generation},
      {"count", pool.count},
      {"workers", std::move(workers)},
      {"zygotes", std::move(zygotes)},
      {"recycled", std::move(recycled)},
      {"restarts", pool.restarts},
      {"totals", json_of(pool.totals)},
      {"reload", json_of(pool.reload)},
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
