// Stories of clients that keep their connections, all with one worker at first.
#include "tests/process/story.h"

#include <boost/json/value.hpp>

#include <algorithm>
#include <csignal>

namespace stint::test {
namespace {

// Requests that each worker has had so far, as `stint status` says.
std::map<pid_t, std::int64_t> requests_by_worker(const ServerProcess& server) {
  std::map<pid_t, std::int64_t> requests;
  const boost::json::object status = server.status();
  for (const boost::json::value& worker : status.at("pool").at("workers").as_array())
    requests[worker.at("pid").to_number<pid_t>()] = worker.at("requests").to_number<std::int64_t>();
  return requests;
}

// The fewest that one worker has in an interval, to the most: 1 when all have the same.
double evenness(const ServerProcess& server) {
  const auto before = requests_by_worker(server);
  std::this_thread::sleep_for(1s);
  std::vector<std::int64_t> counts;
  for (const auto& [pid, requests] : requests_by_worker(server)) {
    const auto had = before.find(pid);
    counts.push_back(requests - (had == before.end() ? 0 : had->second));
  }
  const auto [fewest, most] = std::minmax_element(counts.begin(), counts.end());
  return *most > 0 ? static_cast<double>(*fewest) / static_cast<double>(*most) : 0;
}

Load kept_alive(const ServerProcess& server) {
  Load load;
  load.address = server.address();
  load.connections = 64;
  load.requests = 1'000'000'000;
  load.pause = 4ms;
  load.paths = {"/"};  // short calls: a worker is stuck only when the machine makes it so
  return load;
}

TEST_CASE("64 kept-alive connections of one worker spread over four, and no client notices (issue 7)", "[process]") {
  ServerOptions options = with_workers(1);
  options.set = {{"log.level", "\"debug\""}};
  ServerProcess server(options);
  server.wait_until_ready();
  BackgroundLoad clients(kept_alive(server));
  REQUIRE(eventually([&] { return clients.answers() > 200; }));

  for (const std::size_t workers : {2, 3, 4}) {
    server.signal(SIGTTIN);
    REQUIRE(server.wait_for_ready_workers(workers));
  }
  CHECK(eventually([&] { return server.log_count("connections given to workers that are less busy") > 0; }));
  // What else the machine does falls on one worker or another: even means here that none has much less than another.
  CHECK(eventually(60s, [&] { return evenness(server) > 0.5; }));

  const LoadReport report = clients.stop();
  INFO(report.text());
  CHECK(report.failures() == 0);
  CHECK(report.idle_closes == 0);
  CHECK(report.connections_opened == 64);
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
