// Stories of limits on workers: which are replaced, which are killed, and what their clients get.
#include "tests/process/story.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace stint::test {
namespace {

using Clock = std::chrono::steady_clock;

// Clients beside the one the story is about, which must notice nothing.
Load witnesses_of(const ServerProcess& server) {
  Load load;
  load.address = server.address();
  load.connections = 8;
  load.requests = 100'000'000;
  load.pause = 2ms;
  return load;
}

void expect_nothing_noticed(BackgroundLoad& witnesses) {
  const LoadReport report = witnesses.stop();
  WARN(report.text());
  CHECK(report.answers > 0);
  CHECK(report.failures() == 0);
  CHECK(report.idle_closes == 0);
  CHECK(report.announced_closes == 0);
}

TEST_CASE("a request that takes more than kill_rss is answered 503, and nobody else notices", "[process]") {
  ServerOptions options = with_workers(2);
  options.set = {{"app.recycle.kill_rss", "\"100MiB\""}};
  ServerProcess server(options);
  server.wait_until_ready();
  BackgroundLoad witnesses(witnesses_of(server));

  for (const std::string method : {"GET", "POST"}) {
    HttpClient hungry(server.address());
    const HttpResponse response = hungry.request(method, "/hog?mib=2000&seconds=300");
    CHECK(response.status == 503);  // a safe one too: it would only take another worker's memory
    CHECK(server.wait_for_ready_workers(2));
  }
  expect_nothing_noticed(witnesses);
  const std::string log = server.log();
  INFO(log);
  CHECK(log.find("kill_rss") != std::string::npos);
  CHECK(log.find("/hog") != std::string::npos);
  server.expect_clean_exit();
}

TEST_CASE("a call that takes longer than request_timeout is answered 504, and nobody else notices", "[process]") {
  ServerOptions options = with_workers(2);
  options.set = {{"app.workers.request_timeout", "\"1s\""}};
  ServerProcess server(options);
  server.wait_until_ready();
  BackgroundLoad witnesses(witnesses_of(server));

  for (const std::string request : {"GET /slow?seconds=300", "POST /slow?seconds=300", "GET /stuck?seconds=300"}) {
    INFO(request);
    HttpClient patient(server.address());
    patient.send(request + " HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(patient.receive().status == 504);
    CHECK(server.wait_for_ready_workers(2));
  }
  expect_nothing_noticed(witnesses);
  CHECK(server.log_count("/slow") >= 1);
  server.expect_clean_exit();
}

// The request `within` leaves the worker within the limit, the request `beyond` does not: then it is replaced.
void expect_replaced_after(const std::pair<std::string, std::string>& limit, const std::string& within,
                           const std::string& beyond) {
  ServerOptions options;
  options.set = {limit};
  ServerProcess server(options);
  server.wait_until_ready();
  HttpClient client(server.address());
  const std::string worker = client.get("/pid").body;
  CHECK(client.get(within).status == 200);
  std::this_thread::sleep_for(500ms);  // it would have been seen by now
  CHECK(client.get("/pid").body == worker);

  CHECK(client.get(beyond).status == 200);
  CHECK(eventually([&] { return !is_running(std::stoi(worker)); }));
  const HttpResponse after = client.get("/pid");
  CHECK(after.status == 200);
  CHECK(after.body != worker);
  const std::string name = limit.first.substr(limit.first.rfind('.') + 1);
  CHECK(server.log_count(name) >= 1);
  server.expect_clean_exit();
}

TEST_CASE("a worker with more open descriptors than max_fds is replaced", "[process]") {
  expect_replaced_after({"app.recycle.max_fds", "200"}, "/open?n=20", "/open?n=200");
}

TEST_CASE("clients' connections do not count against max_fds", "[process]") {
  ServerOptions options;
  options.set = {{"app.recycle.max_fds", "100"}};
  ServerProcess server(options);
  server.wait_until_ready();
  Load load;
  load.address = server.address();
  load.connections = 300;
  load.requests = 6'000;
  load.pause = 50ms;
  const LoadReport report = run_load(load);
  INFO(report.text());
  CHECK(report.failures() == 0);
  CHECK(report.answers_by_worker.size() == 1);
  server.expect_clean_exit();
}

TEST_CASE("a worker with more threads than max_threads is replaced", "[process]") {
  expect_replaced_after({"app.recycle.max_threads", "20"}, "/threads?n=4", "/threads?n=30");
}

TEST_CASE("a worker younger than min_age stays whatever it has answered", "[process]") {
  ServerOptions options;
  options.set = {{"app.recycle.max_requests", "10"}, {"app.recycle.min_age", "\"2s\""}};
  const auto before_start = Clock::now();
  ServerProcess server(options);
  server.wait_until_ready();
  const pid_t first = server.ready_workers().at(0);
  Load load;
  load.address = server.address();
  load.connections = 4;
  load.requests = 100'000'000;
  load.pause = 5ms;
  BackgroundLoad background(load);
  CHECK(eventually([&] { return !is_running(first); }));
  CHECK(Clock::now() - before_start > 2s);
  const LoadReport report = background.stop();
  INFO(report.text());
  CHECK(report.failures() == 0);
  CHECK(report.answers_by_worker.at(first) > 10);
  server.expect_clean_exit();
}

TEST_CASE("limits that make recycling continuous are complained about", "[process]") {
  ServerOptions options = with_workers(2);
  options.set = {{"app.recycle.max_requests", "5"}};
  ServerProcess server(options);
  server.wait_until_ready();
  Load load;
  load.address = server.address();
  load.connections = 4;
  load.requests = 100'000'000;
  load.pause = 1ms;
  BackgroundLoad background(load);
  CHECK(eventually([&] { return server.log_count("raise app.recycle.max_requests") >= 1; }));
  const LoadReport report = background.stop();
  INFO(report.text() << "\n" << server.log());
  CHECK(report.failures() == 0);
  server.expect_clean_exit();
}

// A memory cgroup of the story's own below the one that STINT_TEST_CGROUP names: a folder in which this user may make
// groups and which passes the memory controller on (version 2: its cgroup.subtree_control has "memory").
class MemoryGroup {
 public:
  explicit MemoryGroup(const std::filesystem::path& parent)
      : path_(parent / ("stint-story-" + std::to_string(getpid()))) {
    std::filesystem::create_directory(path_);
    is_version_2_ = std::filesystem::exists(path_ / "cgroup.controllers");
  }
  ~MemoryGroup() {
    eventually([this] {
      std::error_code busy;
      return std::filesystem::remove(path_, busy) || !busy;
    });
  }
  MemoryGroup(const MemoryGroup&) = delete;
  MemoryGroup& operator=(const MemoryGroup&) = delete;

  bool limit(const std::string& bytes) {
    return write(is_version_2_ ? "memory.max" : "memory.limit_in_bytes", bytes) &&
           write(is_version_2_ ? "memory.swap.max" : "memory.swappiness", "0");
  }
  bool take_in(pid_t pid) { return write("cgroup.procs", std::to_string(pid)); }

 private:
  bool write(const std::string& name, const std::string& text) {
    std::ofstream file(path_ / name);
    return static_cast<bool>(file << text << std::flush);
  }
  std::filesystem::path path_;
  bool is_version_2_ = false;
};

TEST_CASE("a worker that the kernel kills for its group's memory is told apart, and nobody else notices", "[process]") {
  const char* const parent = std::getenv("STINT_TEST_CGROUP");
  if (parent == nullptr) {
    WARN("skipped: STINT_TEST_CGROUP names no cgroup in which memory groups can be made");
    return;
  }
  MemoryGroup group(parent);
  REQUIRE(group.limit("200000000"));
  ServerOptions options = with_workers(2);
  ServerProcess server(options);
  server.wait_until_ready();
  REQUIRE(group.take_in(server.pid()));
  for (const pid_t process : server.processes()) REQUIRE(group.take_in(process));
  BackgroundLoad witnesses(witnesses_of(server));

  HttpClient hungry(server.address());
  const int status = hungry.request("POST", "/hog?mib=2000").status;
  CHECK((status == 502 || status == 503));
  CHECK(server.wait_for_ready_workers(2));
  expect_nothing_noticed(witnesses);
  INFO(server.log());
  CHECK(server.log_count("cause=oom_killer") == 1);
  CHECK(server.log_count("/hog") >= 1);
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
