// Stories of signals to the supervisor, and of a worker that is killed.
#include "tests/process/story.h"

#include <signal.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>

namespace stint::test {
namespace {

// A request that runs in the application now, on a connection of its own.
struct RunningRequest {
  RunningRequest(const ServerProcess& server, const std::string& seconds, const std::string& method = "GET")
      : client(server.address()) {
    const std::string file = server.folder().file("running");
    client.send(method + " /slow?seconds=" + seconds + "&touch=" + file + " HTTP/1.1\r\nHost: a\r\n\r\n");
    REQUIRE(eventually([&] { return !read_file(file).empty(); }));
    worker = std::stoi(read_file(file));
  }
  HttpClient client;
  pid_t worker = 0;
};

TEST_CASE("TERM and INT let a running request complete, then everything ends with exit code 0", "[process]") {
  const int number = GENERATE(SIGTERM, SIGINT);
  ServerProcess server(with_workers(2));
  server.wait_until_ready();
  RunningRequest running(server, "1.5");
  HttpClient idle(server.address());
  CHECK(idle.get("/").status == 200);

  server.signal(number);
  const HttpResponse response = running.client.receive();
  CHECK(response.status == 200);
  CHECK(response.body == "slow but complete\n");
  CHECK(response.announces_close());
  // An idle connection does not hold the server up for its drain time-out of 30 s.
  CHECK(server.wait_for_exit(15s) == 0);
  server.expect_clean_exit();
}

TEST_CASE("a stop under load answers what was sent and refuses what comes later", "[process]") {
  ServerProcess server(with_workers(2));
  server.wait_until_ready();
  Load load;
  load.address = server.address();
  load.requests = 10'000'000;
  BackgroundLoad background(load);
  CHECK(eventually([&] { return background.answers() > 2'000; }));

  server.signal(SIGTERM);
  CHECK(server.wait_for_exit(patience) == 0);
  const LoadReport report = background.stop();
  WARN(report.text());
  // Idle connections are given a second, in which a next request still gets its answer, with the close announced.
  CHECK(report.resets + report.early_closes == 0);
  CHECK(report.truncated + report.malformed + report.wrong_status + report.timeouts == 0);
  server.expect_clean_exit();
}

// Where one of them took all, it would serve it alone, one after the other.
TEST_CASE("the workers of a server that stops share what waits", "[process]") {
  ServerProcess server(with_workers(6));
  server.wait_until_ready();
  const std::string ended = server.folder().file("end");
  std::deque<HttpClient> running;
  for (int i = 0; i < 6; ++i) {
    const std::string runs = server.folder().file("running" + std::to_string(i));
    running.emplace_back(server.address());
    running.back().send("GET /until?touch=" + runs + "&file=" + ended + " HTTP/1.1\r\nHost: a\r\n\r\n");
    REQUIRE(eventually([&] { return std::filesystem::exists(runs); }));
  }
  std::deque<HttpClient> waiting;
  for (int i = 0; i < 200; ++i) {
    waiting.emplace_back(server.address());
    waiting.back().send("GET /work?us=2000 HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  server.signal(SIGTERM);
  REQUIRE(eventually([&] { return server.command({"status"}).output.find("retiring") != std::string::npos; }));
  std::ofstream(ended) << "now";

  std::map<std::string, int> answers;
  for (HttpClient& client : waiting) {
    const HttpResponse response = client.receive();
    CHECK(response.status == 200);
    CHECK(response.announces_close());
    ++answers[response.field("X-Worker-Pid").value_or("")];
  }
  for (HttpClient& client : running) CHECK(client.receive().status == 200);
  CHECK(answers.size() == 6);
  CHECK(server.wait_for_exit(patience) == 0);
  server.expect_clean_exit();
}

// Its connections were to go to others, and there is nobody any more.
TEST_CASE("a worker that retires when the server stops announces closes as the others do", "[process]") {
  ServerOptions options = with_workers(1);
  options.set = {{"app.recycle.drain_timeout", "\"5m\""}};
  ServerProcess server(options);
  server.wait_until_ready();
  const std::string running = server.folder().file("running"), ended = server.folder().file("end");
  HttpClient client(server.address());
  client.send("GET /until?touch=" + running + "&file=" + ended + " HTTP/1.1\r\nHost: a\r\n\r\n");
  REQUIRE(eventually([&] { return std::filesystem::exists(running); }));
  CHECK(server.command({"recycle"}).exit_code == 0);
  REQUIRE(eventually([&] { return server.log_count("worker retiring") == 1; }));
  server.signal(SIGTERM);
  REQUIRE(eventually([&] { return server.log_count("worker retiring") == 2; }));
  std::ofstream(ended) << "now";
  const HttpResponse response = client.receive();
  CHECK(response.status == 200);
  CHECK(response.announces_close());
  CHECK(server.wait_for_exit(patience) == 0);
  server.expect_clean_exit();
}

TEST_CASE("a stop at any moment of the start leaves nothing behind", "[process]") {
  const int number = GENERATE(SIGTERM, SIGQUIT);
  for (const auto delay : {0ms, 5ms, 10ms, 20ms, 30ms, 40ms, 60ms, 80ms, 120ms}) {
    INFO("signal " << number << " after " << delay.count() << " ms");
    ServerProcess server(with_workers(2));
    // From here on the signals are its own: it logs that it starts workers after it has taken them over.
    REQUIRE(eventually([&] { return server.log_count("worker started") >= 1; }));
    std::this_thread::sleep_for(delay);
    server.signal(number);
    CHECK(server.wait_for_exit(patience) == 0);
    server.expect_nothing_left();
  }
}

TEST_CASE("QUIT ends everything at once, a running request too", "[process]") {
  ServerProcess server(with_workers(2));
  server.wait_until_ready();
  RunningRequest running(server, "300");

  server.signal(SIGQUIT);
  CHECK(server.wait_for_exit(patience).has_value());
  server.expect_nothing_left();
}

TEST_CASE("QUIT ends a drain that TERM began", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  RunningRequest running(server, "300");

  server.signal(SIGTERM);
  CHECK_FALSE(server.wait_for_exit(300ms).has_value());
  server.signal(SIGQUIT);
  CHECK(server.wait_for_exit(patience).has_value());
  server.expect_nothing_left();
}

TEST_CASE("a drain ends at its time limit", "[process]") {
  ServerOptions options;
  options.set = {{"app.recycle.drain_timeout", "\"500ms\""}};
  ServerProcess server(options);
  server.wait_until_ready();
  RunningRequest running(server, "300");

  server.signal(SIGTERM);
  CHECK(server.wait_for_exit(patience).has_value());
  server.expect_nothing_left();
}

TEST_CASE("HUP replaces every worker and no request fails", "[process]") {
  ServerProcess server(with_workers(2));
  server.wait_until_ready();
  const auto before = server.ready_workers();
  Load load;
  load.address = server.address();
  load.requests = 10'000'000;
  load.pause = 1ms;
  BackgroundLoad background(load);

  server.signal(SIGHUP);
  CHECK(eventually([&] {
    const auto now = server.ready_workers();
    return now.size() == 2 && std::find_first_of(now.begin(), now.end(), before.begin(), before.end()) == now.end() &&
           !is_running(before[0]) && !is_running(before[1]);
  }));
  const LoadReport report = background.stop();
  WARN(report.text());
  CHECK(report.failures() == 0);
  CHECK(report.idle_closes == 0);
  server.expect_clean_exit();
}

TEST_CASE("TTIN adds a worker, TTOU takes one away without a failed request", "[process]") {
  ServerProcess server(with_workers(2));
  server.wait_until_ready();
  Load load;
  load.address = server.address();
  load.requests = 10'000'000;
  load.pause = 1ms;
  BackgroundLoad background(load);

  server.signal(SIGTTIN);
  CHECK(server.wait_for_ready_workers(3));
  server.signal(SIGTTOU);
  CHECK(server.wait_for_ready_workers(2));
  const LoadReport report = background.stop();
  WARN(report.text());
  CHECK(report.failures() == 0);
  CHECK(report.idle_closes == 0);
  server.expect_clean_exit();
}

TEST_CASE("a worker that is killed is replaced, and the others serve on", "[process]") {
  ServerProcess server(with_workers(2));
  server.wait_until_ready();
  RunningRequest running(server, "300", "POST");
  const auto before = server.ready_workers();
  const pid_t other = before[0] == running.worker ? before[1] : before[0];
  HttpClient witness(server.address());  // the other worker's: this one is busy
  CHECK(witness.get("/pid").body == std::to_string(other));

  kill(running.worker, SIGKILL);
  CHECK(running.client.receive().status == 502);
  CHECK(witness.get("/pid").body == std::to_string(other));
  CHECK(eventually([&] {
    const auto now = server.ready_workers();
    return now.size() == 2 && std::count(now.begin(), now.end(), running.worker) == 0 &&
           std::count(now.begin(), now.end(), other) == 1;
  }));
  CHECK(witness.get("/pid").body == std::to_string(other));
  CHECK(server.log_count("SIGKILL") >= 1);
  server.expect_clean_exit();
}

TEST_CASE("USR1 and stint reopen-logs open the access log again", "[process]") {
  const bool is_signal = GENERATE(true, false);
  auto folder = std::make_unique<TemporaryFolder>();
  const std::string log = folder->file("access.log"), moved = folder->file("access.log.1");
  ServerOptions options;
  options.set = {{"log.access", "\"" + log + "\""}};
  ServerProcess server(options, std::move(folder));
  server.wait_until_ready();
  CHECK(fetch(server.address(), "/?before").status == 200);
  CHECK(eventually([&] { return read_file(log).find("/?before") != std::string::npos; }));

  std::filesystem::rename(log, moved);
  if (is_signal)
    server.signal(SIGUSR1);
  else
    CHECK(server.command({"reopen-logs"}).exit_code == 0);
  CHECK(eventually([&] { return std::filesystem::exists(log); }));
  CHECK(eventually([&] {
    return fetch(server.address(), "/?after").status == 200 && read_file(log).find("/?after") != std::string::npos;
  }));
  server.expect_clean_exit();
}

TEST_CASE("a log that cannot be opened again fails the command, and the old one stays", "[process]") {
  auto folder = std::make_unique<TemporaryFolder>();
  const std::string logs = folder->file("logs"), moved = folder->file("moved");
  ServerOptions options;
  options.listen = {"unix:site.sock"};
  options.set = {{"log.error", "\"" + logs + "/error.log\""}};
  ServerProcess server(options, std::move(folder));
  REQUIRE(eventually([&] { return server.ready_workers().size() == 1; }));
  std::filesystem::rename(logs, moved);
  std::ofstream(logs) << "in the way";
  const CommandResult result = server.command({"reopen-logs"});
  CHECK(result.exit_code == 1);
  CHECK(result.error == "stint: open " + logs + "/error.log: Not a directory\n");
  CHECK(read_file(moved + "/error.log").find("log not opened") != std::string::npos);
  server.expect_clean_exit();
}

// Its operator has gone, and the command's time is over, while it was stopped.
TEST_CASE("a supervisor that was stopped while an operator waited goes on", "[process]") {
  ServerProcess server(with_workers(1));
  server.wait_until_ready();
  {
    const HttpClient operators("unix:" + server.control_socket());
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    server.signal(SIGSTOP);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(5'500));
  server.signal(SIGCONT);
  CHECK(server.command({"status"}).exit_code == 0);
  CHECK(fetch(server.address(), "/").status == 200);
  server.expect_clean_exit();
}

// As `systemctl kill -s USR1` does.
TEST_CASE("what is meant for the supervisor and sent to all its processes ends none of them", "[process]") {
  ServerOptions options = with_workers(2);
  options.set = {{"app.workers.start", GENERATE("\"fresh\"", "\"fork\"")}};
  ServerProcess server(options);
  server.wait_until_ready();
  const auto workers = server.ready_workers();
  RunningRequest running(server, "1", "POST");
  for (const int number : {SIGUSR1, SIGTTIN, SIGTTOU, SIGHUP, SIGUSR2})
    for (const pid_t pid : server.processes())
      if (pid != server.pid()) kill(pid, number);
  CHECK(running.client.receive().status == 200);
  CHECK(server.ready_workers() == workers);
  CHECK(server.log_count("died") == 0);
  server.expect_clean_exit();
}

TEST_CASE("a server that is started with SIGCHLD ignored knows how its workers end", "[process]") {
  ServerOptions options = with_workers(1);
  options.wrapper = {"/usr/bin/env", "--ignore-signal=CHLD"};
  ServerProcess server(options);
  server.wait_until_ready();
  kill(server.ready_workers().front(), SIGKILL);
  CHECK(eventually([&] { return server.log_count("signal=SIGKILL") == 1; }));
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
