// Stories of workers that die in every way there is. What was not in the middle of an answer goes on, on the same
// connection; a safe request that was interrupted is served once more; nothing is left behind.
#include "tests/process/story.h"

#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <random>
#include <regex>
#include <sstream>

namespace stint::test {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<std::string> lines_of(const std::string& file) {
  std::vector<std::string> lines;
  const std::string text = read_file(file);
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
    lines.push_back(text.substr(at, text.find('\n', at) - at));
  }
  return lines;
}

// Bytes that clients have sent to the IPv4 address and that no worker has read yet (proc_net_tcp(5)).
std::uint64_t unread_at(const std::string& address) {
  char local[16];
  std::snprintf(local, sizeof local, ":%04X ", std::stoi(address.substr(address.rfind(':') + 1)));
  std::uint64_t unread = 0;
  std::istringstream rows(read_file("/proc/net/tcp"));
  for (std::string row; std::getline(rows, row);) {
    unsigned long send_queue = 0, receive_queue = 0;
    if (row.find(local) == std::string::npos || row.find(local) > row.find(':', row.find(':') + 1)) continue;
    if (std::sscanf(row.c_str(), "%*s %*s %*s %*s %lx:%lx", &send_queue, &receive_queue) == 2) unread += receive_queue;
  }
  return unread;
}

TEST_CASE("kill -9 of a random worker every 300 ms costs no connection that was not in the middle of its answer",
          "[process]") {
  ServerOptions options = with_workers(2);
  options.listen = {"127.0.0.1:0", "unix:site.sock"};
  ServerProcess server(options);
  server.wait_until_ready();
  const std::size_t descriptors_before = descriptors_of(server.pid()), processes_before = server.processes().size();

  Load load;
  load.requests = 100'000'000;
  load.connections = 12;
  load.paths = {"/page?us=2000&kib=1&seed=r"};
  load.problem_of = [](const LoadAnswer& answer) {
    return answer.body.size() == 1024 && answer.body.starts_with("r r r") ? std::string() : "another body";
  };
  load.address = server.address(0);
  BackgroundLoad safe(load);
  load.address = server.address(1);
  load.connections = 8;
  BackgroundLoad safe_on_unix(load);
  load.connections = 12;
  load.paths = {{"POST", "/page?us=2000&kib=1&seed=r", "eleven byte"}};
  load.tolerated_statuses = {502};
  BackgroundLoad unsafe(load);

  std::mt19937 random(4);
  std::uint64_t kills = 0;
  for (const auto end = Clock::now() + 8s; Clock::now() < end; std::this_thread::sleep_for(300ms)) {
    const auto ready = server.ready_workers();
    if (ready.empty()) continue;
    kill(ready[random() % ready.size()], SIGKILL);
    ++kills;
  }
  // Then nothing dies any more, and everything is answered.
  const LoadReport reports[] = {safe.stop(), safe_on_unix.stop(), unsafe.stop()};
  std::uint64_t cut = 0;
  for (const LoadReport& report : reports) {
    WARN(report.text());
    CHECK(report.answers > 10);
    CHECK(report.most_workers_on_a_connection >= 3);
    CHECK(report.refused + report.resets + report.new_resets + report.timeouts == 0);
    CHECK(report.malformed + report.wrong_body + report.wrong_status == 0);
    CHECK(report.idle_closes == 0);
    CHECK(report.announced_closes <= report.tolerated);  // a 502 may be the last answer of its connection
    cut += report.early_closes + report.truncated;
  }
  WARN(kills << " workers killed, " << reports[2].tolerated << " answers 502 to unsafe requests, " << cut
             << " answers cut in the middle");
  CHECK(kills >= 5);
  // One thread a worker: a death has one call, or the few microseconds of one answer on its way out.
  CHECK(reports[2].tolerated + cut <= kills);
  CHECK(cut <= kills / 4);

  CHECK(server.wait_for_ready_workers(2));
  CHECK(eventually([&] { return server.processes().size() == processes_before; }));
  CHECK(eventually([&] { return descriptors_of(server.pid()) == descriptors_before; }));
  CHECK(server.is_running());
  server.expect_clean_exit();
}

TEST_CASE("idle and half-sent connections go on after kill -9 of the only worker", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  const std::string worker = fetch(server.address(), "/pid").body;

  const std::string half =
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n" + std::string(300'000, 'a');
  const std::string beginnings[] = {"", "GET /ec", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe",
                                    half};
  const std::string ends[] = {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
                              "ho HTTP/1.1\r\nHost: a\r\n\r\n", "llo", std::string(100'000, 'a')};
  const std::string bodies[] = {"hello", "", "hello", std::string(400'000, 'a')};
  std::deque<HttpClient> clients;
  for (int i = 0; i < 40; ++i) {
    clients.emplace_back(server.address());
    CHECK(clients.back().get("/pid").body == worker);
  }
  for (int i = 0; i < 40; ++i) clients[i].send(beginnings[i % 4]);
  // What is read from a socket and not yet in the table when a worker dies is lost: let it be idle.
  REQUIRE(eventually([&] { return unread_at(server.address()) == 0; }));
  CHECK(fetch(server.address(), "/pid").body == worker);

  kill(std::stoi(worker), SIGKILL);
  for (int i = 0; i < 40; ++i) {
    INFO("connection " << i << ", sent before: " << beginnings[i % 4].substr(0, 80));
    clients[i].send(ends[i % 4]);
    const HttpResponse response = clients[i].receive();
    CHECK(response.status == 200);
    CHECK((response.body == bodies[i % 4]));
    CHECK_FALSE(response.announces_close());
  }
  for (HttpClient& client : clients) CHECK(client.get("/pid").status == 200);
  server.expect_clean_exit();
}

TEST_CASE("connections go on after all workers have died at once", "[process]") {
  ServerProcess server(with_workers(2));
  server.wait_until_ready();
  std::deque<HttpClient> clients;
  for (int i = 0; i < 40; ++i) {
    clients.emplace_back(server.address());
    CHECK(clients.back().get("/").status == 200);
  }
  for (const pid_t worker : server.ready_workers()) kill(worker, SIGKILL);
  for (HttpClient& client : clients) CHECK(client.get("/").status == 200);
  server.expect_clean_exit();
}

// How often the log of deaths names a request of `path`.
std::size_t deaths_named(const ServerProcess& server, const std::string& method, const std::string& path) {
  return server.log_count("running=\"" + method + " " + path);
}

TEST_CASE("a safe request whose worker dies in C code, leaves or is killed is served once more by another one",
          "[process]") {
  const unsigned workers = GENERATE(1u, 2u);
  for (const std::string how : {"segv", "exit", "abort", "kill"}) {
    ServerProcess server(with_workers(workers));
    server.wait_until_ready();
    HttpClient client(server.address());
    for (const std::string method : {"GET", "OPTIONS", "HEAD"}) {
      INFO(method << " " << how << ", " << workers << " workers");
      const std::string deaths = server.folder().file(method);
      const HttpResponse response = client.request(method, "/die?how=" + how + "&deaths=" + deaths);
      CHECK(response.status == 200);
      CHECK_FALSE(response.announces_close());
      REQUIRE(lines_of(deaths).size() == 1);
      CHECK(response.field("X-Worker-Pid") != lines_of(deaths)[0]);
      if (method != "HEAD") CHECK(response.body.find("\"retried\": true") != std::string::npos);
      CHECK(client.get("/retried").body.find("\"retried\": false") != std::string::npos);
      CHECK(server.wait_for_ready_workers(workers));
      CHECK(eventually(5s, [&] { return deaths_named(server, method, "/die?how=" + how) == 1; }));
    }
    INFO(server.log());
    server.expect_clean_exit();
  }
}

TEST_CASE("an unsafe request whose worker dies is answered 502 and never served again", "[process]") {
  const std::string body = GENERATE("", "eleven byte");  // nothing but the method speaks against the first
  ServerProcess server(with_workers(2));
  server.wait_until_ready();
  for (const std::string method : {"POST", "PUT", "PATCH", "DELETE"}) {
    INFO(method << " with a body of " << body.size() << " bytes");
    const std::string deaths = server.folder().file(method);
    HttpClient client(server.address());
    const HttpResponse response = client.request(method, "/die?how=segv&deaths=" + deaths, {}, body);
    CHECK(response.status == 502);
    CHECK(lines_of(deaths).size() == 1);
    CHECK(eventually(5s, [&] { return deaths_named(server, method, "/die?how=segv") == 1; }));
    if (response.announces_close()) {
      CHECK(client.is_closed_within(patience));
    } else {
      CHECK(client.get("/").status == 200);
    }
    CHECK(server.wait_for_ready_workers(2));
  }
  server.expect_clean_exit();
}

TEST_CASE("a request that kills two workers is answered 502 and its route is named", "[process]") {
  ServerProcess server(with_workers(2));
  server.wait_until_ready();
  const std::string deaths = server.folder().file("deaths");
  const HttpResponse response = fetch(server.address(), "/die?how=kill&times=5&deaths=" + deaths);
  CHECK(response.status == 502);
  CHECK(lines_of(deaths).size() == 2);
  CHECK(eventually(5s, [&] { return deaths_named(server, "GET", "/die") == 2; }));
  CHECK(std::regex_search(server.log(), std::regex(" error [^\n]*GET /die")));
  INFO(server.log());
  CHECK(server.wait_for_ready_workers(2));
  CHECK(fetch(server.address(), "/").status == 200);
  CHECK(lines_of(deaths).size() == 2);
  server.expect_clean_exit();
}

TEST_CASE("with retry_interrupted = false a safe request whose worker dies is answered 502", "[process]") {
  ServerOptions options = with_workers(2);
  options.set = {{"app.retry_interrupted", "false"}};
  ServerProcess server(options);
  server.wait_until_ready();
  const std::string deaths = server.folder().file("deaths");
  CHECK(fetch(server.address(), "/die?how=exit&deaths=" + deaths).status == 502);
  CHECK(lines_of(deaths).size() == 1);
  server.expect_clean_exit();
}

TEST_CASE("an answer that was half sent when its worker died is visibly incomplete, at once", "[process]") {
  ServerProcess server(with_workers(2));
  server.wait_until_ready();
  const std::string running = server.folder().file("running"), never = server.folder().file("never");
  for (const std::string& path : {"/half?touch=" + running, "/stepwise?until=" + never}) {
    INFO(path);
    HttpClient client(server.address());
    // A child of the application that holds the sockets, too, must not hold up the end.
    const HttpResponse forked = client.get("/fork");
    client.send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n");
    client.receive_up_to("first");
    const pid_t worker = std::stoi(forked.field("X-Worker-Pid").value_or("0"));
    REQUIRE(worker > 0);
    kill(worker, SIGKILL);
    const std::string rest = client.receive_until_close();
    CHECK(rest.find("second") == std::string::npos);
    CHECK(rest.find("0\r\n\r\n") == std::string::npos);
    CHECK(rest.find("HTTP/1.1") == std::string::npos);
    kill(std::stoi(forked.body), SIGKILL);
    CHECK(server.wait_for_ready_workers(2));
  }
  server.expect_clean_exit();
}

TEST_CASE("a keeper is small, and when it is killed its worker is replaced without a failed request", "[process]") {
  ServerProcess server(with_workers(2));
  server.wait_until_ready();
  const auto rows = server.workers();
  REQUIRE(rows.size() == 2);
  if (rows[0].keeper == 0) {
    WARN("skipped: this machine refuses clone(CLONE_FILES)");
    server.expect_clean_exit();
    return;
  }
  const bool is_sanitized = maps_of(rows[0].pid).find("libasan") != std::string::npos;
  WARN("a keeper has " << own_memory_kib(rows[0].keeper) << " KiB of its own");
  if (!is_sanitized) CHECK(own_memory_kib(rows[0].keeper) < 300);

  Load load;
  load.address = server.address();
  load.requests = 100'000'000;
  load.pause = 1ms;
  BackgroundLoad background(load);
  CHECK(eventually([&] { return background.answers() > 500; }));
  kill(rows[0].keeper, SIGKILL);
  CHECK(eventually([&] { return !is_running(rows[0].pid); }));
  CHECK(server.wait_for_ready_workers(2));
  const LoadReport report = background.stop();
  WARN(report.text());
  CHECK(report.failures() == 0);
  CHECK(report.idle_closes == 0);
  CHECK(report.announced_closes == 0);
  for (const auto& row : server.workers()) CHECK(row.keeper != 0);
  server.expect_clean_exit();
}

TEST_CASE("status shows what a stuck worker is at", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  HttpClient client(server.address());
  client.send("GET /stuck?seconds=300 HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(eventually([&] {
    const CommandResult status = server.command({"status", "--json"});
    return status.output.find("/stuck?seconds=300") != std::string::npos;
  }));
  kill(server.ready_workers().at(0), SIGKILL);
  server.signal(SIGQUIT);
  CHECK(server.wait_for_exit(patience).has_value());
  server.expect_nothing_left();
}

TEST_CASE("a connection whose worker was killed is answered within milliseconds", "[process]") {
  std::vector<double> idle, interrupted;
  const auto milliseconds_since = [](Clock::time_point time) {
    return std::chrono::duration<double, std::milli>(Clock::now() - time).count();
  };
  while (idle.size() < 20) {  // few deaths for each server, so that none waits to start a worker again
    ServerProcess server(with_workers(2));
    server.wait_until_ready();
    for (int i = 0; i < 2; ++i) {
      // Two connections of one worker: one rests, one is in a call.
      HttpClient rests(server.address()), calls(server.address());
      const std::string worker = rests.get("/pid").body;
      while (calls.get("/pid").body != worker) calls = HttpClient(server.address());
      const std::string started = server.folder().file("started" + std::to_string(i));
      calls.send("GET /slow-once?seconds=300&started=" + started + " HTTP/1.1\r\nHost: a\r\n\r\n");
      REQUIRE(eventually([&] { return std::filesystem::exists(started); }));

      auto killed = Clock::now();
      kill(std::stoi(worker), SIGKILL);
      CHECK(calls.receive().status == 200);
      interrupted.push_back(milliseconds_since(killed));
      CHECK(server.wait_for_ready_workers(2));

      const std::string next = rests.get("/pid").body;
      killed = Clock::now();
      kill(std::stoi(next), SIGKILL);
      CHECK(rests.get("/retried").status == 200);
      idle.push_back(milliseconds_since(killed));
      CHECK(server.wait_for_ready_workers(2));
    }
    server.expect_clean_exit();
  }
  for (auto* times : {&interrupted, &idle}) {
    std::sort(times->begin(), times->end());
    WARN("from kill -9 to the answer of "
         << (times == &idle ? "a request on an idle connection" : "an interrupted request") << ": median "
         << times->at(times->size() / 2) << " ms, fastest " << times->front() << " ms, slowest " << times->back()
         << " ms");
    // Generous: machines are slow. That the other worker answers, and not a new one, is what counts.
    CHECK(times->at(times->size() / 2) < 1000);
  }
}

}  // namespace
}  // namespace stint::test
