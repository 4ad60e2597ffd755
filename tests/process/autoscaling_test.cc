// Stories of a pool whose size follows its load, and of the memory that bounds it.
#include "tests/process/story.h"

#include <algorithm>
#include <csignal>

namespace stint::test {
namespace {

std::string settings(const std::string& range, const std::string& more) {
  return "[app.workers]\ncount = " + range + "\nshrink_after = \"1s\"\n" + more;
}

ServerOptions with_range(const std::string& range, const std::string& more = "") {
  ServerOptions options;
  options.workers = 0;
  options.toml = settings(range, more);
  return options;
}

// More than one worker can serve.
Load working_clients(const ServerProcess& server, unsigned connections) {
  Load load;
  load.address = server.address();
  load.paths = {{"/work?us=20000"}};
  load.requests = 1'000'000'000;
  load.connections = connections;
  load.answers_per_connection = 5;  // kept-alive ones stay with their workers
  return load;
}

TEST_CASE("a pool grows with its load, to its most, and shrinks when the load has gone", "[process]") {
  ServerProcess server(with_range("{ min = 1, max = 3 }"));
  server.wait_until_ready();
  CHECK(server.ready_workers().size() == 1);
  const pid_t first = server.ready_workers().at(0);

  BackgroundLoad clients(working_clients(server, 8));
  CHECK(server.wait_for_ready_workers(3));
  CHECK(server.log_count("one worker more") == 2);
  const LoadReport report = clients.stop();
  INFO(report.text());
  CHECK(report.failures() == 0);

  CHECK(server.wait_for_ready_workers(1));
  CHECK(server.ready_workers().at(0) == first);
  CHECK(server.log_count("one worker less") == 2);
  server.expect_clean_exit();
}

TEST_CASE("a reload and an upgrade keep the count that the load asked for", "[process][upgrade]") {
  ServerProcess server(with_range("{ min = 1, max = 2 }", "[reload]\nsettle = \"0s\"\n"));
  server.wait_until_ready();
  BackgroundLoad clients(working_clients(server, 6));
  CHECK(server.wait_for_ready_workers(2));
  CHECK(server.command({"reload", "--wait"}).output.find("started 2") != std::string::npos);
  CHECK(server.command({"upgrade", "--wait"}).output.find("started 2") != std::string::npos);
  CHECK(server.wait_for_ready_workers(2));

  server.signal(SIGTTIN);
  CHECK(eventually([&] { return server.log_count("the load says how many workers there are") == 1; }));
  const LoadReport report = clients.stop();
  INFO(report.text());
  CHECK(report.failures() == 0);
  CHECK(server.wait_for_ready_workers(1));
  server.expect_clean_exit();
}

TEST_CASE("a pool does not grow beyond its memory, and the worker that needs most is replaced", "[process]") {
  if (!has_honest_memory) return;
  ServerProcess server(with_range("{ min = 1, max = 4 }", "[memory]\nbudget = \"60MiB\"\n"));
  server.wait_until_ready();
  const pid_t first = server.ready_workers().at(0);
  CHECK(fetch(server.address(), "/leak?kib=40960").status == 200);
  CHECK(server.wait_for_ready_workers(1));  // where that took long there was another one for a moment
  BackgroundLoad clients(working_clients(server, 6));
  CHECK(eventually([&] { return server.log_count("no memory for one worker more") == 1; }));
  CHECK(server.ready_workers() == std::vector{first});

  CHECK(fetch(server.address(), "/leak?kib=40960").status == 200);
  CHECK(eventually([&] {
    const auto ready = server.ready_workers();
    return !ready.empty() && std::count(ready.begin(), ready.end(), first) == 0;
  }));
  CHECK(server.log_count("workers need more memory than there is for them") == 1);
  CHECK(server.log_count("reason=memory_budget") == 1);

  server.folder().write("stint.toml", settings("{ min = 1, max = 2 }", "[memory]\nbudget = \"2GiB\"\n"));
  CHECK(server.command({"reload", "--wait", "--settings"}).exit_code == 0);
  CHECK(server.wait_for_ready_workers(2));
  const LoadReport report = clients.stop();
  INFO(report.text());
  CHECK(report.failures() == 0);
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
