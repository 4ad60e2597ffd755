#include "server/worker/loop_lease.h"

#include "tests/unit/worker/worker_bench.h"

#include <atomic>
#include <thread>

using namespace stint;
using namespace stint::test;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr std::string_view get_a = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr std::string_view get_b = "GET /b HTTP/1.1\r\nHost: h\r\n\r\n";

}  // namespace

TEST_CASE("while a call lasts, others are read, refused and timed out, and their requests wait (issue 7)", "[worker]") {
  Settings settings = bench_settings();
  settings.http.idle_timeout = settings.http.head_timeout = std::chrono::seconds(1);
  WorkerBench bench(settings);
  LongCall call;
  const std::thread::id first = std::this_thread::get_id();
  bench.application.behave = [&](const Request& request, ResponseSink& sink) {
    if (request.path == "/a") must(call.run());
    must(std::this_thread::get_id() == first);  // what an application keeps in a thread stays with its calls
    return FakeApplication::say(sink, request.path);
  };
  Client slow = bench.connect(), waiting = bench.connect(), bad = bench.connect(), half = bench.connect(),
         silent = bench.connect(), star = bench.connect();
  slow.send(get_a);
  bool has_sent = false, was_early = false;
  bench.run_until([&] {
    if (call.is_running && !std::exchange(has_sent, true)) {
      waiting.send(get_b);
      bad.send("GET / HTTP/1.1\r\nBad Name: 1\r\n\r\n");
      half.send("GET / HT");
      star.send("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    bad.receive(), half.receive(), silent.receive(), star.receive();
    if (bad.is_closed && half.is_closed && silent.is_closed && star.received.find("200 OK") != std::string::npos) {
      was_early = was_early || (!call.may_end && !waiting.receive().empty());
      call.may_end = true;
    }
    return slow.receive().ends_with("/a") && waiting.receive().ends_with("/b");
  });
  CHECK_FALSE(was_early);
  CHECK_THAT(bad.received, ContainsSubstring("HTTP/1.1 400 "));
  CHECK_THAT(half.received, ContainsSubstring("HTTP/1.1 408 "));
  CHECK(bench.application.calls == 2);
}

TEST_CASE("requests that waited for a call are served in the order in which they were complete", "[worker]") {
  WorkerBench bench;
  LongCall call;
  std::vector<std::string> order;
  bench.application.behave = [&](const Request& request, ResponseSink& sink) {
    if (request.path == "/a") must(call.run());
    order.emplace_back(request.path);
    return FakeApplication::say(sink, request.path);
  };
  Client slow = bench.connect();
  std::vector<Client> others;
  for (int i = 0; i < 5; ++i) others.push_back(bench.connect());
  slow.send(get_a);
  std::size_t sent = 0;
  bench.run_until([&] {
    const bool is_next = call.is_running && bench.waiting_requests() == sent;
    if (is_next && sent == others.size()) call.may_end = true;
    if (is_next && sent < others.size())
      others[sent].send("GET /" + std::to_string(sent) + " HTTP/1.1\r\nHost: h\r\n\r\n"), ++sent;
    return others.back().receive().ends_with("/4");
  });
  CHECK(order == std::vector<std::string>{"/a", "/0", "/1", "/2", "/3", "/4"});
}

TEST_CASE("a client that leaves during a long call is noticed, and its call's flush says so", "[worker]") {
  WorkerBench bench;
  LongCall call;
  bool was_told = false;
  bench.application.behave = [&](const Request&, ResponseSink& sink) {
    must(call.run() && sink.set_head("200 OK", {}).has_value());
    sink.write({.bytes = "late"});
    was_told = !sink.flush().has_value();
    return std::optional<ApplicationFailure>();
  };
  Client client = bench.connect();
  client.send(get_a);
  bool has_left = false;
  bench.run_until([&] {
    if (call.is_running && !std::exchange(has_left, true)) client.close();
    if (bench.page.report().counts.clients_gone == 1) call.may_end = true;
    return bench.services.table.is_empty();
  });
  CHECK(was_told);
  CHECK(bench.page.report().counts.clients_gone == 1);
}

TEST_CASE("bytes behind a request stay in the socket during a long call, and are the next request after it",
          "[worker]") {
  WorkerBench bench;
  LongCall call;
  bench.application.behave = [&](const Request& request, ResponseSink& sink) {
    if (request.path == "/a") must(call.run());
    return FakeApplication::say(sink, request.path);
  };
  Client client = bench.connect(), witness = bench.connect();
  client.send(get_a);
  bool has_sent = false;
  bench.run_until([&] {
    if (call.is_running && !std::exchange(has_sent, true)) {
      client.send(get_b);
      client.half_close();  // no reason to give up what it has asked for
      witness.send("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    if (witness.receive().find("200 OK") != std::string::npos) call.may_end = true;
    return client.receive(), client.is_closed;
  });
  CHECK_THAT(client.received, ContainsSubstring("/aHTTP/1.1 200 OK"));
  CHECK(client.received.ends_with("/b"));
}

TEST_CASE("the page says since when the oldest call runs", "[worker]") {
  WorkerBench bench;
  LongCall call;
  bench.application.behave = [&](const Request& request, ResponseSink& sink) {
    must(call.run());
    return FakeApplication::say(sink, request.path);
  };
  Client client = bench.connect();
  const TimePoint before = std::chrono::steady_clock::now();
  client.send(get_a);
  WorkerReport during;
  bench.run_until([&] {
    if (call.is_running && !call.may_end.exchange(true)) during = bench.page.report();
    return client.receive().ends_with("/a");
  });
  CHECK(during.is_busy);
  CHECK(during.busy_since >= before);
  CHECK_FALSE(bench.page.report().is_busy);
}

TEST_CASE("as many calls run at once as there are threads, each on its own, and the next request waits (issue 7)",
          "[worker]") {
  Settings settings = bench_settings();
  settings.app.workers.threads = 4;
  WorkerBench bench(settings);
  std::atomic<int> inside{0}, most{0};
  std::atomic<bool> may_end{false};
  bench.application.behave = [&](const Request& request, ResponseSink& sink) {
    const int now = ++inside;
    if (now > most) most = now;
    for (int i = 0; i < 75'000 && !may_end; ++i) std::this_thread::sleep_for(std::chrono::microseconds(200));
    --inside;
    return FakeApplication::say(sink, request.path);
  };
  std::vector<Client> clients;
  for (int i = 0; i < 6; ++i) {
    clients.push_back(bench.connect());
    clients.back().send("GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\n\r\n");
  }
  bench.run_until([&] {
    if (inside == 4 && bench.waiting_requests() == 2) may_end = true;
    bool are_done = true;
    for (int i = 0; i < 6; ++i) are_done = clients[i].receive().ends_with("/" + std::to_string(i)) && are_done;
    return are_done;
  });
  CHECK(may_end);
  CHECK(most == 4);
  CHECK(bench.application.prepared == 3);  // the first has loaded the application
}
