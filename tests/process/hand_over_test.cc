// Stories of connections that outlive workers: recycled by requests, memory and age, clients of three kinds on two
// kinds of sockets at once. Not one connection may be closed, announced or not. The long form is ./dev soak.
#include "tests/process/story.h"

#include <algorithm>
#include <set>

namespace stint::test {
namespace {

constexpr std::uint64_t requests_of_a_case = 20'000;
constexpr std::size_t replaced_at_least = 5;

struct Pages {
  std::vector<LoadRequest> requests;
  std::vector<std::string> bodies;
};

// 13 bytes, 1 KiB and 10 KiB by turns; the seeds differ, so that another connection's answer is another body.
Pages pages(unsigned leaked_kib) {
  Pages pages{{"/"}, {"Hello, stint\n"}};
  for (const unsigned kib : {10u, 1u, 10u}) {
    const std::string seed = std::to_string(pages.requests.size()) + "/" + std::to_string(kib);
    pages.requests.emplace_back("/page?us=200&kib=" + std::to_string(kib) + "&seed=" + seed +
                                (leaked_kib > 0 ? "&leak=" + std::to_string(leaked_kib) : ""));
    std::string body;
    while (body.size() < kib * 1024) body += seed + " ";
    body.resize(kib * 1024);
    pages.bodies.push_back(body);
  }
  return pages;
}

Load load_of(const std::string& address, const Pages& pages) {
  Load load;
  load.address = address;
  load.requests = requests_of_a_case / 6;
  load.connections = 6;
  load.paths = pages.requests;
  load.problem_of = [&pages](const LoadAnswer& answer) {
    return answer.body == pages.bodies[answer.request] ? std::string() : "another body";
  };
  return load;
}

// The six clients at once, until each has its answers and enough workers have been replaced.
void expect_no_client_notices(unsigned workers, const std::pair<std::string, std::string>& limit, unsigned leaked_kib) {
  ServerOptions options = with_workers(workers);
  options.listen = {"127.0.0.1:0", "unix:site.sock"};
  options.set = {limit};
  ServerProcess server(options);
  server.wait_until_ready();
  const Pages pages = test::pages(leaked_kib);

  std::set<long> seen;
  std::uint64_t answers = 0;
  std::chrono::microseconds longest_gap{};
  bool goes_on = true;
  while (goes_on && (answers < requests_of_a_case * 9 / 10 || seen.size() < workers + replaced_at_least)) {
    std::vector<std::unique_ptr<BackgroundLoad>> loads;
    std::vector<std::string> names;
    for (const std::size_t listener : {0, 1}) {
      const Load kept = load_of(server.address(listener), pages);
      Load pipelined = kept, fresh = kept;
      pipelined.pipeline = 5;
      pipelined.connections = 3;
      fresh.answers_per_connection = 1;
      for (const auto& [name, load] :
           {std::pair("kept-alive", kept), std::pair("pipelined", pipelined), std::pair("new connections", fresh)}) {
        names.push_back(std::to_string(workers) + " workers, " + limit.first + ", " + name + ", " + load.address);
        loads.push_back(std::make_unique<BackgroundLoad>(load));
      }
    }
    for (std::size_t i = 0; i < loads.size(); ++i) {
      const LoadReport report = loads[i]->wait();
      INFO(names[i] << ": " << report.text());
      longest_gap = std::max(longest_gap, report.longest_gap);
      goes_on = goes_on && report.failures() == 0;
      CHECK(report.failures() == 0);
      CHECK(report.idle_closes == 0);
      CHECK(report.announced_closes == 0);
      CHECK(report.resent == 0);
      const bool are_kept = names[i].find("new connections") == std::string::npos;
      if (are_kept) CHECK(report.connections_opened <= 6);
      if (are_kept && report.answers_by_worker.size() > workers + 1) CHECK(report.most_workers_on_a_connection >= 2);
      answers += report.answers;
      for (const auto& [pid, count] : report.answers_by_worker) seen.insert(pid);
    }
  }
  WARN(workers << " workers, " << limit.first << ": " << answers << " answers by " << seen.size()
               << " workers, longest gap of a client " << longest_gap.count() << " us");
  server.expect_clean_exit();
}

TEST_CASE("no client notices that workers are recycled by requests", "[process]") {
  const unsigned workers = GENERATE(1u, 2u, 8u);
  expect_no_client_notices(workers, {"app.recycle.max_requests", "200"}, 0);
}

TEST_CASE("no client notices that workers are recycled by memory", "[process]") {
  const unsigned workers = GENERATE(1u, 2u, 8u);
  expect_no_client_notices(workers, {"app.recycle.max_rss", "\"24MiB\""}, 64);
}

TEST_CASE("no client notices that workers are recycled by age", "[process]") {
  const unsigned workers = GENERATE(1u, 2u, 8u);
  expect_no_client_notices(workers, {"app.recycle.max_age", "\"" + std::to_string(workers * 300) + "ms\""}, 0);
}

TEST_CASE("connections that rest between requests go from worker to worker", "[process]") {
  ServerOptions options = with_workers(2);
  options.set = {{"app.recycle.max_age", "\"400ms\""}};
  ServerProcess server(options);
  server.wait_until_ready();

  Load load;
  load.address = server.address();
  load.connections = 300;  // more than one packet of the inbox takes, fewer than it holds
  load.requests = 6'000;
  load.pause = 100ms;
  const LoadReport report = run_load(load);
  WARN(report.text());
  CHECK(report.failures() == 0);
  CHECK(report.idle_closes == 0);
  CHECK(report.announced_closes == 0);
  CHECK(report.connections_opened == 300);
  CHECK(report.most_workers_on_a_connection >= 2);
  server.expect_clean_exit();
}

TEST_CASE("one connection outlives twenty generations of its only worker", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  HttpClient client(server.address());
  std::set<std::string> workers;
  for (int i = 0; i < 20; ++i) {
    const HttpResponse before = client.get("/pid");
    CHECK_FALSE(before.announces_close());
    workers.insert(before.body);
    REQUIRE(server.command({"recycle"}).exit_code == 0);
    REQUIRE(eventually([&] { return !is_running(std::stoi(before.body)); }));
  }
  CHECK(client.get("/pid").status == 200);
  CHECK(workers.size() == 20);
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
