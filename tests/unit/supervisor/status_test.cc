#include "server/supervisor/status.h"

#include "tests/support/catch.h"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

using namespace stint;
using namespace stint::supervisor;
using namespace std::chrono_literals;

TEST_CASE("status says what is, with null for an idle worker", "[supervisor]") {
  const TimePoint now = TimePoint(1000s);
  WorkerCounts counts{.requests = 12, .failures = 1};
  counts.refused[static_cast<std::size_t>(RefusalReason::bare_lf)] = 2;
  const WorkerReport busy{.counts = counts,
                          .connections = 3,
                          .is_full = true,
                          .is_busy = true,
                          .busy_since = now - 250ms,
                          .private_memory = 40_MiB};
  const ServerStatus status{
      .pid = 42,
      .uptime = 61s,
      .state = "serving",
      .listen = {"127.0.0.1:8000"},
      .pool =
          {.name = "site",
           .generation = 1,
           .count = 2,
           .workers = {{1, 43, WorkerState::ready, 1, busy, 5s, 45, {{"id-1", "GET", "/slow", 250ms, 1000, 1, false}}},
                       {2, 44, WorkerState::retiring, 1, {}, 6s, 0, {}}},
           .recycled = {{RecycleReason::max_rss, 7}},
           .restarts = 4,
           .totals = counts},
      .supervisor_memory = 4_MiB};

  const auto json = boost::json::parse(status_json(status, now));
  CHECK(json.at("version") == STINT_VERSION);
  CHECK(json.at("uptime_s") == 61);
  CHECK(json.at("listen").at(0) == "127.0.0.1:8000");
  const auto& pool = json.at("pool");
  CHECK(pool.at("recycled").at("max_rss") == 7);
  CHECK(pool.at("restarts") == 4);
  const auto& worker = pool.at("workers").at(0);
  CHECK(worker.at("state") == "ready");
  CHECK(worker.at("requests") == 12);
  CHECK(worker.at("bad_requests") == 2);
  CHECK(worker.at("is_full") == true);
  CHECK(pool.at("totals").at("refused").as_object().size() == 1);
  CHECK(pool.at("totals").at("refused").at("bare_lf") == 2);
  CHECK(worker.at("busy_ms") == 250);
  CHECK(worker.at("private_bytes") == (40_MiB).count);
  CHECK(pool.at("workers").at(1).at("busy_ms").is_null());
  CHECK(pool.at("workers").at(1).at("state") == "retiring");
  CHECK(worker.at("keeper") == 45);
  const auto& running = worker.at("running").at(0);
  CHECK(running.at("id") == "id-1");
  CHECK(running.at("method") == "GET");
  CHECK(running.at("target") == "/slow");
  CHECK(running.at("ms") == 250);
  CHECK(running.at("answered_bytes") == 1000);
  CHECK(running.at("attempts") == 1);
  CHECK(pool.at("workers").at(1).at("keeper").is_null());
  CHECK(pool.at("workers").at(1).at("running").as_array().empty());
  CHECK(json.at("supervisor").at("rss_bytes") == (4_MiB).count);
}
