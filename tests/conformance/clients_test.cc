// Rules that one request's bytes cannot show: clients that send slowly, too much or nothing, and clients that
// leave.
#include "tests/conformance/echo_server.h"

#include <unistd.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <sstream>

namespace stint::test {
namespace {

std::size_t lines_of(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

// Processor time that `pid` has used (proc(5), stat: utime and stime).
std::chrono::milliseconds cpu_time_of(pid_t pid) {
  const std::string stat = read_file("/proc/" + std::to_string(pid) + "/stat");
  std::istringstream rest(stat.substr(stat.rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) rest >> skipped;
  long user = 0, system = 0;
  rest >> user >> system;
  return std::chrono::milliseconds((user + system) * 1000 / sysconf(_SC_CLK_TCK));
}

TEST_CASE("a body cut short never reaches the application", "[conformance]") {
  EchoServer server;
  const std::vector<std::string> cut = {
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nhello",
      "POST / HTTP/1.0\r\nContent-Length: 6\r\n\r\nhello",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n",
  };
  for (const std::string& address : server.addresses()) {
    for (const std::string& bytes : cut) {
      INFO(address << ": " << bytes);
      HttpClient client(address);
      client.send(bytes);
      client.shut_down_writing();
      REQUIRE(client.receive_until_close() == "");
    }
  }
  CHECK(server.calls() == 0);
  server.expect_clean_exit();
}

TEST_CASE("a client that sends its body slowly does not hold the application", "[conformance]") {
  EchoServer server;
  HttpClient slow(server.addresses()[0]), other(server.addresses()[0]);
  for (const char* bytes :
       {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chun", "ked\r\n\r\n5\r\nhel", "lo\r\n0\r\n"}) {
    slow.send(bytes);
    other.send(good_request);
    expect_good_answer(other);
  }
  CHECK(server.calls() == 3);
  slow.send("\r\n");
  CHECK(slow.receive().body.ends_with("\n\nhello"));
  server.expect_clean_exit();
}

TEST_CASE("a chunked body the application leaves unread is not the next request", "[conformance]") {
  EchoServer server;
  HttpClient client(server.addresses()[0]);
  client.send("POST /good HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  client.send("24\r\nGET /hidden HTTP/1.1\r\nHost: evil\r\n\r\n\r\n0\r\n\r\n");
  client.send(good_request);
  expect_good_answer(client);
  expect_good_answer(client);
  CHECK(server.calls() == 2);
  server.expect_clean_exit();
}

TEST_CASE("a bad chunk behind megabytes of good ones is refused while the client goes on sending", "[conformance]") {
  ServerProcess server({});
  server.wait_until_ready();
  HttpClient client(server.address());
  const std::string chunk = "8000\r\n" + std::string(0x8000, 'a') + "\r\n";
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 64; ++i) client.send(chunk);
  client.send("zz\r\n");
  for (int i = 0; i < 64; ++i) client.send(chunk);
  expect_refusal(client, 400);
  server.expect_clean_exit();
}

TEST_CASE("a refused client can read its answer though much of what it sent was not read", "[conformance]") {
  EchoServer server;
  for (const std::string& address : server.addresses()) {
    HttpClient client(address);
    client.send("GET / HTTP/1.1\r\n\r\n" + std::string(100'000, 'x'));
    expect_refusal(client, 400);
  }
  CHECK(server.calls() == 0);
  server.expect_clean_exit();
}

TEST_CASE("a refused HEAD is answered without a body, wherever it is refused", "[conformance]") {
  EchoServer server;
  const std::vector<std::pair<int, std::string>> refused = {
      {400, "HEAD  / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {414, "HEAD /" + std::string(300, 'a')},
      {505, "HEAD / HTTP/1.2\r\nHost: a\r\n\r\n"},
      {400, "HEAD / HTTP/1.1\r\nHost: a\r\nBad Name: 1\r\n\r\n"},
      {400, "HEAD / HTTP/1.1\r\n\r\n"},
      {417, "HEAD / HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\n\r\n"},
      {413, "HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 10001\r\n\r\n"},
      {400, "HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"},
  };
  for (const std::string& address : server.addresses()) {
    for (const auto& [status, bytes] : refused) {
      INFO(address << ": " << bytes);
      HttpClient client(address);
      client.send(bytes);
      const HttpResponse response = client.receive("HEAD");
      CHECK(response.status == status);
      CHECK(response.announces_close());
      CHECK(response.field("Content-Length").has_value());
      REQUIRE(client.receive_until_close() == "");
    }
  }
  CHECK(server.calls() == 0);
  server.expect_clean_exit();
}

TEST_CASE("a greedy pipelining connection does not starve the others", "[conformance]") {
  ServerOptions options;
  options.set = {{"log.format", "\"%r\""}};
  ServerProcess server(options);
  server.wait_until_ready();
  HttpClient other(server.address());
  CHECK(other.get("/").status == 200);

  // The worker is held until both have sent all they have; from then on it has the choice, and greedy was first.
  const std::string go_on = server.folder().file("go-on");
  HttpClient greedy(server.address());
  greedy.send("GET /stepwise?until=" + go_on + " HTTP/1.1\r\nHost: a\r\n\r\n");
  greedy.receive_up_to("first\n");
  std::string run;
  for (int i = 0; i < 500; ++i) run += "GET /pid HTTP/1.1\r\nHost: a\r\n\r\n";
  greedy.send(run);
  other.send("GET /other HTTP/1.1\r\nHost: a\r\n\r\n");
  server.folder().write("go-on", "");
  CHECK(other.receive().status == 404);
  greedy.receive_up_to("\r\n0\r\n\r\n");
  for (int i = 0; i < 500; ++i) REQUIRE(greedy.receive().status == 200);
  server.expect_clean_exit();

  // In the order of the answers.
  const std::string log = server.output();
  const std::size_t at = log.find("/other");
  REQUIRE(at != log.npos);
  CHECK(lines_of(log.substr(0, at)) < 100);
  CHECK(lines_of(log) == 503);
}

TEST_CASE("clients that reset or leave in the middle cost no busy loop, no descriptor and no log flood",
          "[conformance]") {
  ServerProcess server({});
  server.wait_until_ready();
  const pid_t worker = server.ready_workers().at(0);
  CHECK(fetch(server.address(), "/").status == 200);
  const std::size_t descriptors_before = descriptors_of(worker), lines_before = lines_of(server.log());

  const std::vector<std::string> beginnings = {
      "",
      "GET / HT",
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHo",
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf",
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n",
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
      "GET /big?mib=8 HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.1\r\n\r\nand more",
  };
  for (int round = 0; round < 40; ++round) {
    for (const std::string& beginning : beginnings) {
      HttpClient client(server.address());
      client.send(beginning);
      if (round % 2 == 0) client.reset();
    }
  }
  CHECK(fetch(server.address(), "/pid").body == std::to_string(worker));
  CHECK(eventually([&] { return descriptors_of(worker) <= descriptors_before; }));
  CHECK(lines_of(server.log()) < lines_before + 10);
  const auto cpu_before = cpu_time_of(worker);
  std::this_thread::sleep_for(1s);  // a time to measure in, not to wait for something
  CHECK(cpu_time_of(worker) - cpu_before < 500ms);
  server.expect_clean_exit();
}

TEST_CASE("thousands of silent clients cost a socket and a small buffer each, no thread, and nobody waits for them",
          "[conformance]") {
  ServerOptions options;
  options.set = {
      {"http.max_connections", "5000"}, {"http.head_timeout", "\"300s\""}, {"http.body_timeout", "\"300s\""}};
  ServerProcess server(options);
  server.wait_until_ready();
  const pid_t worker = server.ready_workers().at(0);
  HttpClient other(server.address());
  CHECK(other.get("/").status == 200);
  const auto memory_before = memory_kib(worker, "RssAnon");
  const auto threads_before = memory_kib(worker, "Threads");

  std::deque<HttpClient> silent;
  for (int i = 0; i < 3000; ++i) {
    silent.emplace_back(server.address());
    if (i % 3 == 1) silent.back().send("GET / HTTP/1.1\r\nHost: a\r\n");
    if (i % 3 == 2) silent.back().send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf");
    if (i % 100 == 0) REQUIRE(other.get("/").status == 200);
  }
  CHECK(other.get("/pid").body == std::to_string(worker));
  CHECK(eventually([&] { return descriptors_of(worker) >= 3000; }));
  CHECK(memory_kib(worker, "Threads") == threads_before);
  const auto memory_after = memory_kib(worker, "RssAnon");
  WARN("3000 silent clients: " << (memory_after - memory_before) << " KiB of private memory");
  CHECK((memory_after < memory_before + 3000 * 8 || !has_honest_memory));
  silent.back().send(std::string(996, '.'));
  CHECK(silent.back().receive().body == "half" + std::string(996, '.'));
  silent.clear();  // a server that stops would wait for what they have begun
  server.expect_clean_exit();
}

TEST_CASE("a worker at max_connections says so in its status and in the log, once", "[conformance]") {
  ServerOptions options;
  options.set = {{"http.max_connections", "20"}};
  ServerProcess server(options);
  server.wait_until_ready();
  std::deque<HttpClient> held;
  for (int i = 0; i < 20; ++i) {
    held.emplace_back(server.address());
    CHECK(held.back().get("/").status == 200);
  }
  HttpClient one_more(server.address());
  one_more.send(good_request);
  CHECK(eventually([&] {
    const boost::json::object status = server.status();
    const boost::json::value& only = status.at("pool").at("workers").at(0);
    return only.at("is_full").as_bool() && only.at("connections").to_number<int>() == 20;
  }));
  held.pop_back();
  CHECK(one_more.receive().status == 404);
  CHECK(server.log_count("connections at their limit") == 1);
  server.expect_clean_exit();
}

TEST_CASE("names with '_' are counted, and the first of them is logged", "[conformance]") {
  EchoServer server;
  HttpClient client(server.addresses()[0]);
  for (int i = 0; i < 3; ++i) {
    client.send("GET /good HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 1.2.3.4\r\nContent_Length: 5\r\n\r\n");
    expect_good_answer(client);
  }
  CHECK(server.status().at("pool").at("totals").at("dropped_fields").to_number<int>() == 6);
  CHECK(server.log_count("with '_' in their name dropped") == 1);
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
