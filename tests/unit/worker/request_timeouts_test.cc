#include "server/worker/request_timeouts.h"

#include "tests/unit/worker/worker_bench.h"

using namespace std::chrono_literals;
using namespace stint;
using namespace stint::test;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

namespace {

constexpr std::string_view get_a = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr std::string_view get_b = "GET /b HTTP/1.1\r\nHost: h\r\n\r\n";

Settings with_limit(std::chrono::milliseconds limit, unsigned threads = 1) {
  Settings settings = bench_settings();
  settings.app.workers.request_timeout = limit;
  settings.app.workers.threads = threads;
  return settings;
}

}  // namespace

TEST_CASE("a call over the limit is answered 504 while it runs, its connection ends, and others go on (issue 7)",
          "[worker]") {
  WorkerBench bench(with_limit(1s));
  const bool interrupts = GENERATE(false, true);
  worker::RequestTimeouts timeouts(bench.services, nullptr, interrupts);
  LongCall call;
  bench.application.behave = [&](const Request& request, ResponseSink& sink) {
    if (request.path == "/a") must(call.run());
    return FakeApplication::say(sink, request.path);
  };
  Client slow = bench.connect(), other = bench.connect();
  slow.send(std::string(get_a) + std::string(get_b));
  bool was_answered_before_its_end = false;
  bench.run_until([&] {
    if (slow.receive(), slow.is_closed && call.is_running && !call.may_end) {
      was_answered_before_its_end = true;
      other.send(get_b);
      call.may_end = true;
    }
    return other.receive().ends_with("/b");
  });
  CHECK(was_answered_before_its_end);
  CHECK_THAT(slow.received, StartsWith("HTTP/1.1 504 Gateway Timeout\r\n") && ContainsSubstring("Connection: close"));
  CHECK(slow.received.find("/a") == std::string::npos);
  CHECK(slow.received.find("/b") == std::string::npos);  // nor is what was behind it read
  CHECK(bench.application.calls == 2);
  CHECK(bench.application.interrupted.size() == (interrupts ? 1U : 0U));
  CHECK(bench.page.report().counts.request_timeouts == 1);
  CHECK(bench.page.report().counts.requests == 2);
  CHECK(bench.page.report().counts.server_errors == 1);
  CHECK(std::count(bench.log.messages.begin(), bench.log.messages.end(), "request timed out") == 1);
  CHECK(std::count(bench.log.messages.begin(), bench.log.messages.end(), "timed-out call has ended") == 1);
  slow.close();
  bench.run_until([&] { return bench.services.table.open() == 1; });
  CHECK(bench.services.calls.all().empty());
}

TEST_CASE("a timed-out client that does not fetch its answer is let go, and so is its call's connection", "[worker]") {
  WorkerBench bench(with_limit(100ms));
  worker::RequestTimeouts timeouts(bench.services, nullptr, false);
  LongCall call;
  bench.application.behave = [&](const Request& request, ResponseSink& sink) {
    must(call.run());
    return FakeApplication::say(sink, request.path);
  };
  Client client = bench.connect();
  client.send(get_a);
  bench.run_until([&] {
    bench.services.table.for_each([&](worker::Connection& connection) {
      if (!connection.is_left_to_call()) return;
      connection.give_up();  // as when a drain's time is over: there is nothing left to give up
      call.may_end = true;
    });
    return bench.services.table.is_empty();
  });
  CHECK(call.may_end);
}

TEST_CASE("a call over the limit that has sent a part of its answer is cut", "[worker]") {
  WorkerBench bench(with_limit(1s));
  worker::RequestTimeouts timeouts(bench.services, nullptr, false);
  LongCall call;
  bool was_told = false;
  bench.application.behave = [&](const Request&, ResponseSink& sink) {
    must(sink.set_head("200 OK", {}).has_value());
    sink.write({.bytes = "one"});
    must(sink.flush().has_value() && call.run());
    sink.write({.bytes = "two"});
    was_told = !sink.flush().has_value();
    return std::optional<ApplicationFailure>();
  };
  Client client = bench.connect_over_tcp();
  client.send(get_a);
  bench.run_until([&] {
    if (bench.page.report().counts.request_timeouts == 1) call.may_end = true;
    return bench.services.table.is_empty();
  });
  client.receive();
  CHECK_THAT(client.received, ContainsSubstring("one"));
  CHECK(client.received.find("0\r\n\r\n") == std::string::npos);
  CHECK_FALSE(client.is_closed);  // a reset: nothing that looks like an end
  CHECK(was_told);
}

TEST_CASE("a call with progress is not over the limit however long it takes", "[worker]") {
  WorkerBench bench(with_limit(3s));
  worker::RequestTimeouts timeouts(bench.services, nullptr, false);
  bench.application.behave = [&](const Request&, ResponseSink& sink) {
    must(sink.set_head("200 OK", {}).has_value());
    const auto until = std::chrono::steady_clock::now() + 4s;
    while (std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(5ms);
      sink.write({.bytes = "."});
      must(sink.flush().has_value());
    }
    return std::optional<ApplicationFailure>();
  };
  Client client = bench.connect();
  client.send(get_a);
  bench.run_until([&] { return client.receive().ends_with("0\r\n\r\n"); });
  CHECK(bench.page.report().counts.request_timeouts == 0);
}

TEST_CASE("while a call waits for its slow client the time-out is the client's, not the call's", "[worker]") {
  WorkerBench bench(with_limit(2s));
  worker::RequestTimeouts timeouts(bench.services, nullptr, false);
  const std::string much(8 << 20, 'm');
  bench.application.behave = [&](const Request&, ResponseSink& sink) {
    must(sink.set_head("200 OK", {}).has_value());
    sink.set_length(much.size());
    sink.write({.bytes = much});
    must(sink.flush().has_value());
    return std::optional<ApplicationFailure>();
  };
  Client client = bench.connect();
  client.send(get_a);
  const auto begin = std::chrono::steady_clock::now();
  bench.run_until(
      [&] { return std::chrono::steady_clock::now() > begin + 3s && client.receive().size() > much.size(); });
  CHECK(bench.page.report().counts.request_timeouts == 0);
}

TEST_CASE("of eight calls at once each has its own limit", "[worker]") {
  WorkerBench bench(with_limit(2s, 8));
  worker::RequestTimeouts timeouts(bench.services, nullptr, false);
  LongCall call;
  bench.application.behave = [&](const Request& request, ResponseSink& sink) {
    if (request.path == "/a") must(call.run());
    return FakeApplication::say(sink, request.path);
  };
  Client slow = bench.connect();
  std::vector<Client> others;
  for (int i = 0; i < 7; ++i) others.push_back(bench.connect());
  slow.send(get_a);
  std::size_t answered = 0;
  bench.run_until([&] {
    for (Client& client : others) {
      if (client.received.empty()) client.send(get_b), client.received = "sent ";
      if (client.receive().ends_with("/b")) client.received.clear(), ++answered;
    }
    if (slow.receive(), slow.is_closed) call.may_end = true;
    return call.may_end && !call.is_running;
  });
  CHECK_THAT(slow.received, StartsWith("HTTP/1.1 504 "));
  CHECK(answered > 7);
  CHECK(bench.page.report().counts.request_timeouts == 1);
}

TEST_CASE("a safe request whose client resets is interrupted where the settings say so", "[worker]") {
  Settings settings = bench_settings();
  settings.app.workers.raise_on_disconnect = GENERATE(true, false);
  WorkerBench bench(settings);
  LongCall call;
  bench.application.behave = [&](const Request&, ResponseSink&) {
    must(call.run());
    return std::optional<ApplicationFailure>();  // as an interrupted call ends: without a head
  };
  const std::string method = GENERATE("GET", "POST");
  Client client = bench.connect();
  client.send(method + " /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
  const bool is_interrupted = settings.app.workers.raise_on_disconnect && method == "GET";
  bool has_left = false;
  if (!is_interrupted) {
    bench.application.behave = [&](const Request& request, ResponseSink& sink) {
      must(call.run());
      return FakeApplication::say(sink, request.path);
    };
  }
  bench.run_until([&] {
    if (call.is_running && !std::exchange(has_left, true)) client.close();
    if (bench.page.report().counts.clients_gone == 1) call.may_end = true;
    return bench.services.table.is_empty();
  });
  CHECK(bench.application.interrupted.size() == (is_interrupted ? 1U : 0U));
  if (is_interrupted) CHECK(bench.application.interrupted[0].second == Interruption::client_gone);
}
