// Stories of calls that take longer than request_timeout: what their clients get, what the log says, and who else
// notices (nobody).
#include "tests/process/story.h"

#include <csignal>
#include <deque>
#include <filesystem>
#include <fstream>

namespace stint::test {
namespace {

using Catch::Matchers::ContainsSubstring;

ServerOptions with_limit(const std::string& limit, unsigned workers, unsigned threads = 1) {
  ServerOptions options = with_workers(workers);
  options.words = {"--threads", std::to_string(threads)};
  options.set = {{"app.workers.request_timeout", "\"" + limit + "\""}};
  return options;
}

// What the log says of the time-out of `target`, with the stack.
std::string told_of(const ServerProcess& server, const std::string& target) {
  std::string found;
  const bool is_there = eventually([&] {
    const std::string log = server.log(), words = "request timed out  method=GET target=";
    for (auto begin = log.find(words); begin != std::string::npos; begin = log.find(words, begin + 1)) {
      const auto end = log.find("\n20", begin);  // the next line of the log begins with its date
      if (end == std::string::npos || log.find(target, begin) > begin + words.size() + 1) continue;
      found = log.substr(begin, end - begin);
      return found.find("Stack") != std::string::npos;
    }
    return false;
  });
  INFO(server.log());
  CHECK(is_there);
  return found;
}

TEST_CASE(
    "of eight calls in a worker one is over the limit: its client gets 504, the log its stack, and the others "
    "notice nothing (issue 7)",
    "[process]") {
  ServerProcess server(with_limit("6s", 1, 8));
  server.wait_until_ready();
  const pid_t worker = server.ready_workers().at(0);
  const auto path = [&](const std::string& name) { return server.folder().file(name); };
  HttpClient slow(server.address());
  slow.send("GET /slow?seconds=300 HTTP/1.1\r\nHost: a\r\n\r\n");
  // They stream: each has a part of its answer well within the limit, and ends only after the other's time-out.
  std::deque<HttpClient> neighbours;
  for (int i = 0; i < 7; ++i) {
    neighbours.emplace_back(server.address());
    neighbours.back().send("GET /trickle?until=" + path("end") + " HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  const HttpResponse late = slow.receive();
  CHECK(late.status == 504);
  CHECK(late.field("Connection") == "close");
  CHECK_THAT(told_of(server, "/slow?seconds=300"),
             ContainsSubstring("age=6") && ContainsSubstring(" in slow\n") && !ContainsSubstring(" in trickle"));
  CHECK(server.log_count("request timed out") == 1);
  // The worker is replaced, and goes when they are done.
  CHECK(eventually([&] { return server.ready_workers() != std::vector{worker}; }));
  CHECK(is_running(worker));
  std::ofstream(path("end")).put('x');
  for (HttpClient& neighbour : neighbours) {
    const HttpResponse response = neighbour.receive();
    CHECK(response.status == 200);
    CHECK(response.body.ends_with("complete\n"));
    CHECK(response.field("X-Worker-Pid") == std::to_string(worker));
  }
  CHECK(eventually([&] { return !is_running(worker); }));
  CHECK(server.log_count("ending in the middle of a timed-out call") == 1);
  CHECK(server.output().find("\" 504 ") != std::string::npos);
  server.expect_clean_exit();
}

TEST_CASE("a call that holds the GIL for ever is answered 504, and its worker's other requests are another's (issue 7)",
          "[process]") {
  ServerProcess server(with_limit("1s", 1));
  server.wait_until_ready();
  const pid_t worker = server.ready_workers().at(0);
  HttpClient idle(server.address());
  CHECK(idle.get("/pid").body == std::to_string(worker));
  HttpClient stuck(server.address()), waiting(server.address());
  stuck.send("GET /stuck?seconds=300 HTTP/1.1\r\nHost: a\r\n\r\n");
  std::this_thread::sleep_for(50ms);
  waiting.send("GET /retried HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(stuck.receive().status == 504);
  CHECK_THAT(told_of(server, "/stuck?seconds=300"),
             ContainsSubstring("lock=\"held by this call\"") && ContainsSubstring(" in stuck\n"));
  const HttpResponse response = waiting.receive();
  CHECK(response.status == 200);
  CHECK_THAT(response.body, ContainsSubstring("\"retried\": false"));
  CHECK(idle.get("/pid").body != std::to_string(worker));  // on the connection that it had
  CHECK(eventually([&] { return !is_running(worker); }));
  server.expect_clean_exit();
}

TEST_CASE("what waits for the GIL is told apart from who holds it (issue 7)", "[process]") {
  ServerProcess server(with_limit("5s", 1, 2));
  server.wait_until_ready();
  HttpClient one(server.address()), holder(server.address());
  const std::string runs = server.folder().file("runs"), target = "/slow?seconds=4&touch=" + runs;
  one.send("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n");
  REQUIRE(eventually([&] { return std::filesystem::exists(runs); }));
  holder.send("GET /stuck?seconds=300 HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(one.receive().status == 504);
  CHECK(holder.receive().status == 504);
  const std::string told = told_of(server, target);
  CHECK_THAT(told, ContainsSubstring("lock=\"held by GET /stuck?seconds=300 (request ") &&
                       ContainsSubstring("The lock's holder:\n"));
  CHECK(told.find(" in slow\n") < told.find(" in stuck\n"));
  server.expect_clean_exit();
}

TEST_CASE("with raise_on_timeout a timed-out call ends by an exception, and its worker waits for that (issue 7)",
          "[process]") {
  ServerOptions options = with_limit("1s", 1);
  options.set.emplace_back("app.workers.raise_on_timeout", "true");
  ServerProcess server(options);
  server.wait_until_ready();
  const pid_t worker = server.ready_workers().at(0);
  const std::string file = server.folder().file("unwound");
  CHECK(fetch(server.address(), "/interruptible?file=" + file).status == 504);
  CHECK(eventually([&] { return !is_running(worker); }));
  std::ifstream unwound(file);
  std::string text;
  std::getline(unwound, text);
  CHECK(text == "RequestTimeout");
  CHECK(server.log_count("timed-out call has ended") == 1);
  CHECK(server.log_count("application failed") == 0);
  CHECK(server.log_count("ending in the middle") == 0);
  server.expect_clean_exit();
}

TEST_CASE("with raise_on_disconnect the call of a client that resets ends by an exception (issue 7)", "[process]") {
  ServerOptions options;
  options.set = {{"app.workers.raise_on_disconnect", "true"}};
  ServerProcess server(options);
  server.wait_until_ready();
  const std::string file = server.folder().file("unwound");
  {
    HttpClient client(server.address());
    client.send("GET /interruptible?touch=" + file + ".runs&file=" + file + " HTTP/1.1\r\nHost: a\r\n\r\n");
    REQUIRE(eventually([&] { return std::filesystem::exists(file + ".runs"); }));
    client.reset();
  }
  CHECK(eventually([&] { return std::filesystem::exists(file) && std::filesystem::file_size(file) > 0; }));
  std::string text;
  std::ifstream(file) >> text;
  CHECK(text == "ClientDisconnected");
  CHECK(fetch(server.address(), "/").status == 200);
  CHECK(eventually([&] { return server.output().find("\" 499 ") != std::string::npos; }));
  server.expect_clean_exit();
}

TEST_CASE("a worker that cannot answer for its overdue call is killed, and its keeper answers 504", "[process]") {
  ServerProcess server(with_limit("1s", 2));
  server.wait_until_ready();
  HttpClient client(server.address());
  const std::string file = server.folder().file("runs");
  client.send("GET /slow?seconds=300&touch=" + file + " HTTP/1.1\r\nHost: a\r\n\r\n");
  pid_t worker = 0;
  REQUIRE(eventually([&] { return static_cast<bool>(std::ifstream(file) >> worker); }));
  ::kill(worker, SIGSTOP);
  CHECK(client.receive().status == 504);
  CHECK(server.wait_for_ready_workers(2));
  CHECK(server.log_count("killing a worker") == 1);
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
