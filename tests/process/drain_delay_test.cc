// Stories of a stop behind a load balancer: stop.drain_delay.
#include "tests/process/story.h"

#include <signal.h>
#include <boost/json/value.hpp>

namespace stint::test {
namespace {

constexpr const char* long_delay = "\"1h\"";  // so long that only a second signal ends it

ServerOptions with_delay(const char* delay, unsigned workers = 1) {
  ServerOptions options = with_workers(workers);
  options.set = {{"stop.drain_delay", delay}};
  return options;
}

std::string state_of(const ServerProcess& server) {
  const boost::json::object status = server.status();
  return status.empty() ? "" : std::string(status.at("state").as_string());
}

TEST_CASE("while it drains a server accepts and answers, and every answer announces the close", "[process]") {
  ServerProcess server(with_delay(long_delay, 2));
  server.wait_until_ready();
  HttpClient kept(server.address());
  CHECK_FALSE(kept.get("/").announces_close());

  server.signal(SIGTERM);
  REQUIRE(eventually([&] { return state_of(server) == "draining"; }));
  // A worker hears of it a moment later; until then its answers are as before.
  CHECK(eventually([&] { return fetch(server.address(), "/").announces_close(); }));
  const HttpResponse last = kept.get("/");
  CHECK(last.status == 200);
  CHECK(last.announces_close());
  CHECK(kept.is_closed_within(patience));
  CHECK(server.command({"status"}).output.find("draining") != std::string::npos);

  server.signal(SIGTERM);  // waits no longer
  CHECK(server.wait_for_exit(patience) == 0);
  CHECK(server.log_count("reason=\"SIGTERM again\"") == 1);
  CHECK(server.log_count("stopping at once") == 0);
  server.expect_clean_exit();
}

TEST_CASE("the stop follows when the delay is over, and no client notices", "[process]") {
  ServerProcess server(with_delay("\"1500ms\"", 2));
  server.wait_until_ready();
  Load load;
  load.address = server.address();
  load.requests = 10'000'000;
  load.pause = 1ms;
  BackgroundLoad background(load);
  CHECK(eventually([&] { return background.answers() > 200; }));

  const auto asked = std::chrono::steady_clock::now();
  CHECK(server.command({"stop"}).exit_code == 0);
  CHECK(eventually([&] { return state_of(server) == "draining"; }));
  const std::uint64_t so_far = background.answers();
  CHECK(eventually([&] { return background.answers() > so_far + 100 || !server.is_running(); }));
  CHECK(server.wait_for_exit(patience) == 0);
  CHECK(std::chrono::steady_clock::now() - asked >= 1500ms);
  const LoadReport report = background.stop();
  WARN(report.text());
  CHECK(report.resets + report.early_closes == 0);
  CHECK(report.truncated + report.malformed + report.wrong_status + report.timeouts == 0);
  server.expect_clean_exit();
}

TEST_CASE("a worker that is started while the server drains announces closes as well", "[process]") {
  ServerProcess server(with_delay(long_delay));
  server.wait_until_ready();
  const auto before = server.ready_workers();
  CHECK(server.command({"stop"}).exit_code == 0);
  REQUIRE(eventually([&] { return state_of(server) == "draining"; }));
  CHECK(server.command({"stop"}).exit_code == 0);  // is told already
  CHECK(server.command({"recycle"}).exit_code == 1);
  CHECK(state_of(server) == "draining");

  kill(before.at(0), SIGKILL);
  REQUIRE(eventually([&] {
    const auto now = server.ready_workers();
    return now.size() == 1 && now != before;
  }));
  CHECK(fetch(server.address(), "/").announces_close());
  server.signal(SIGINT);
  CHECK(server.wait_for_exit(patience) == 0);
  server.expect_clean_exit();
}

TEST_CASE("QUIT ends a draining server at once", "[process]") {
  ServerProcess server(with_delay(long_delay));
  server.wait_until_ready();
  server.signal(SIGTERM);
  REQUIRE(eventually([&] { return state_of(server) == "draining"; }));
  server.signal(SIGQUIT);
  CHECK(server.wait_for_exit(patience).has_value());
  server.expect_nothing_left();
}

TEST_CASE("a server that does not serve yet has nobody to wait for", "[process]") {
  ServerOptions options = with_delay(long_delay);
  options.module = "slow_start:application";
  ServerProcess server(options);
  REQUIRE(eventually([&] { return server.log_count("worker started") >= 1; }));
  server.signal(SIGTERM);
  CHECK(server.wait_for_exit(patience) == 0);
  server.expect_nothing_left();
}

}  // namespace
}  // namespace stint::test
