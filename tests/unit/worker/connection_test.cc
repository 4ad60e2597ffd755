#include "server/worker/connection.h"

#include "tests/unit/worker/worker_bench.h"

#include <fstream>
#include <functional>

using namespace stint;
using namespace stint::test;
using Catch::Matchers::ContainsSubstring;

namespace {
constexpr std::string_view get_a = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr std::string_view get_b = "GET /b HTTP/1.1\r\nHost: h\r\n\r\n";

std::size_t count(const std::string& text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++n;
  return n;
}

// write(2) and its kin that this process has made (proc_pid_io(5)); those of sockets, by send(2), are not among them.
long written_times() {
  std::ifstream counts("/proc/self/io");
  std::string name;
  for (long value = 0; counts >> name >> value;) {
    if (name == "syscw:") return value;
  }
  return -1;
}

std::function<void()> on_recv = [] {};
}  // namespace

// In place of the C library's, here and in the room.
extern "C" ssize_t recv(int socket, void* place, std::size_t size, int flags) {
  on_recv();
  return ::recvfrom(socket, place, size, flags, nullptr, nullptr);
}

TEST_CASE("a kept-alive connection serves one request after the other", "[worker]") {
  WorkerBench bench;
  Client client = bench.connect();
  CHECK_THAT(bench.exchange(client, get_a, "/a"), ContainsSubstring("HTTP/1.1 200 OK"));
  CHECK_THAT(bench.exchange(client, get_b, "/b"), ContainsSubstring("Content-Length: 2"));
  CHECK_FALSE(client.is_closed);
  CHECK(bench.page.report().counts.requests == 2);
}

TEST_CASE("a request byte by byte is answered once, when it is complete", "[worker]") {
  WorkerBench bench;
  Client client = bench.connect();
  std::string all = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
  std::string body;
  bench.application.behave = [&](const Request& request, ResponseSink& sink) {
    body = body_of(request);
    CHECK(request.method == "POST");
    CHECK(request.fields.size() == 2);
    return FakeApplication::say(sink, "done");
  };
  for (const char byte : all) {
    CHECK(bench.application.calls == 0);
    client.send({&byte, 1});
    bench.loop->step();
  }
  bench.run_until([&] { return client.receive().ends_with("done"); });
  CHECK(body == "hello");
  CHECK(bench.application.calls == 1);
}

TEST_CASE("pipelined requests are answered in order, and a long run of them lets others have a turn", "[worker]") {
  WorkerBench bench;
  Client greedy = bench.connect(), other = bench.connect();
  std::string run;
  for (int i = 0; i < 100; ++i) run += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\n\r\n";
  int served_before_other = 0;
  bool other_came = false;
  bench.application.behave = [&](const Request& request, ResponseSink& sink) {
    if (request.path == "/b") other_came = true;
    if (!other_came) ++served_before_other;
    return FakeApplication::say(sink, "[" + std::string(request.path) + "]");
  };
  greedy.send(run);
  other.send(get_b);
  bench.run_until([&] { return greedy.receive().ends_with("[/99]") && other.receive().ends_with("[/b]"); });
  CHECK(served_before_other < 40);
  std::size_t at = 0;
  for (int i = 0; i < 100; ++i) {
    const std::size_t next = greedy.received.find("[/" + std::to_string(i) + "]", at);
    REQUIRE(next != std::string::npos);
    at = next;
  }
}

TEST_CASE("a body and a pipelined request behind it do not mix", "[worker]") {
  WorkerBench bench;
  std::vector<std::string> bodies;
  bench.application.behave = [&](const Request& request, ResponseSink& sink) {
    bodies.push_back(body_of(request));
    return FakeApplication::say(sink, request.path);
  };
  Client client = bench.connect();
  const std::string bytes =
      "POST /one HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" +
      std::string(get_b);
  bench.exchange(client, bytes, "/b");
  CHECK(bodies == std::vector<std::string>{"abcde", ""});
}

TEST_CASE("a body in chunks of a byte is written down by the read, not by the chunk", "[worker]") {
  WorkerBench bench;
  std::string body;
  bench.application.behave = [&](const Request& request, ResponseSink& sink) {
    CHECK(request.body.file >= 0);
    body = body_of(request);
    return FakeApplication::say(sink, "stored");
  };
  Client client = bench.connect();
  client.send("POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
  bench.loop->step();  // from here on it is in a file

  std::string expected = "a", chunks;
  for (int i = 0; i < 10'000; ++i) {
    expected.push_back(static_cast<char>('a' + i % 26));
    chunks.append("1\r\n").append(1, expected.back()).append("\r\n");
  }
  const long before = written_times();
  bench.exchange(client, chunks + "0\r\n\r\n", "stored");
  const long after = written_times();
  CHECK(body == expected);
  if (before < 0) {
    WARN("this kernel does not count system calls");
  } else {
    CHECK(after - before < 1'000);
  }
}

TEST_CASE("refused bytes get one answer and a close, and nothing after them is read", "[worker]") {
  WorkerBench bench;
  Client client = bench.connect();
  client.send(std::string(get_a) + "GET /x HTTP/1.1\r\nHost: h\r\nBad Name: 1\r\n\r\n" + std::string(get_b));
  bench.run_until([&] { return client.receive(), client.is_closed; });
  CHECK(bench.application.calls == 1);
  CHECK_THAT(client.received, ContainsSubstring("/aHTTP/1.1 400 Bad Request"));
  CHECK(count(client.received, "HTTP/1.1") == 2);
  CHECK_THAT(client.received, ContainsSubstring("Connection: close"));
  CHECK(bench.page.report().counts.bad_requests() == 1);
}

TEST_CASE("a client that closes its sending side still gets its answer", "[worker]") {
  WorkerBench bench;
  Client client = bench.connect();
  client.send(get_a);
  client.half_close();
  bench.run_until([&] { return client.receive(), client.is_closed; });
  CHECK(client.received.ends_with("/a"));
}

TEST_CASE("a request of any length gets its answer, also from a client that has closed its side", "[worker]") {
  // Around the length that the shared slot has room for, where one read becomes two.
  for (std::size_t length = control::ConnectionSlot::capacity - 2; length <= control::ConnectionSlot::capacity + 2;
       ++length) {
    CAPTURE(length);
    WorkerBench bench;
    Client client = bench.connect();
    std::string request = "GET /a HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n";
    request.insert(request.size() - 4, std::string(length - request.size(), 'x'));
    client.send(request);
    client.half_close();
    bench.run_until([&] { return client.receive(), client.is_closed; });
    CHECK(client.received.ends_with("/a"));
  }
}

TEST_CASE("an application's failure is a 500 with the request id and the connection goes on", "[worker]") {
  WorkerBench bench;
  bench.application.behave = [](const Request& request, ResponseSink& sink) -> std::optional<ApplicationFailure> {
    if (request.path == "/a") return ApplicationFailure{"ValueError: secret", "Traceback"};
    return FakeApplication::say(sink, request.path);
  };
  Client client = bench.connect();
  const std::string answer = bench.exchange(client, get_a, "(request ");
  CHECK_THAT(answer, ContainsSubstring("HTTP/1.1 500 Internal Server Error"));
  CHECK_THAT(answer, !ContainsSubstring("secret"));
  bench.exchange(client, get_b, "/b");
  CHECK(bench.page.report().counts.failures == 1);
}

TEST_CASE("a failure after the first byte leaves the answer visibly cut and the connection closed", "[worker]") {
  WorkerBench bench;
  bench.application.behave = [](const Request&, ResponseSink& sink) -> std::optional<ApplicationFailure> {
    REQUIRE(sink.set_head("200 OK", {}).has_value());
    sink.write({.bytes = "half"});
    return ApplicationFailure{"RuntimeError", ""};
  };
  Client client = bench.connect();
  client.send(get_a);
  bench.run_until([&] { return client.receive(), client.is_closed; });
  CHECK(client.received.ends_with("4\r\nhalf\r\n"));
}

TEST_CASE("a call that waits for its slow client lets others be read, and serves them after it", "[worker]") {
  WorkerBench bench;
  bool slow_is_running = false;
  bench.application.behave = [&](const Request& request, ResponseSink& sink) {
    CHECK_FALSE(slow_is_running);  // one call at a time
    if (request.path == "/b") return FakeApplication::say(sink, "fast");
    slow_is_running = true;
    const std::string part(1 << 20, 's');
    REQUIRE(sink.set_head("200 OK", {}).has_value());
    for (int i = 0; i < 8; ++i) {
      sink.write({.bytes = part});
      if (!sink.flush().has_value()) break;
    }
    slow_is_running = false;
    return std::optional<ApplicationFailure>();
  };
  Client slow = bench.connect(), fast = bench.connect();
  slow.send(get_a);
  fast.send(get_b);
  // The slow client reads a little at a time, from within the loop that its own call runs.
  std::size_t got = 0;
  struct Reader final : worker::Timed {
    std::function<void()> read;
    void on_deadline() override { read(); }
  } reader;
  worker::DeadlineList reading(std::chrono::milliseconds(1));
  bench.loop->add(reading);
  reader.read = [&] {
    got += slow.receive().size();
    slow.received.clear();
    reading.arm(reader, std::chrono::steady_clock::now());
  };
  reader.read();
  bench.run_until([&] { return fast.receive().ends_with("fast") && got > 8 << 20; });
  CHECK(bench.application.calls == 2);
  reader.disarm();
}

TEST_CASE("a client that leaves in the middle of an answer ends the call's flush with an error", "[worker]") {
  WorkerBench bench;
  Client client = bench.connect();
  bool was_told = false;
  bench.application.behave = [&](const Request&, ResponseSink& sink) {
    const std::string part(4 << 20, 's');
    REQUIRE(sink.set_head("200 OK", {}).has_value());
    client.close();
    for (int i = 0; i < 4 && !was_told; ++i) {
      sink.write({.bytes = part});
      was_told = !sink.flush().has_value();
    }
    return std::optional<ApplicationFailure>();
  };
  client.send(get_a);
  bench.run_until([&] { return bench.services.table.is_empty(); });
  CHECK(was_told);
}

TEST_CASE("when the server stops, the next answer of a connection announces the close", "[worker]") {
  WorkerBench bench;
  Client client = bench.connect();
  bench.exchange(client, get_a, "/a");
  bench.services.is_draining = bench.services.is_stopping = true;
  const std::string last = bench.exchange(client, get_b, "/b");
  CHECK_THAT(last, ContainsSubstring("Connection: close"));
  client.close();
  bench.run_until([&] { return bench.services.table.is_empty(); });
}

TEST_CASE("time-outs: 408 for half a head or body, silence for an idle connection", "[worker]") {
  Settings settings = bench_settings();
  settings.http.head_timeout = settings.http.body_timeout = settings.http.idle_timeout = std::chrono::milliseconds(500);
  WorkerBench bench(settings);
  Client half_head = bench.connect(), half_body = bench.connect(), idle = bench.connect(), silent = bench.connect();
  half_head.send("GET / HT");
  half_body.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
  idle.send(get_a);
  bench.run_until([&] {
    half_head.receive(), half_body.receive(), idle.receive(), silent.receive();
    return half_head.is_closed && half_body.is_closed && idle.is_closed && silent.is_closed;
  });
  CHECK_THAT(half_head.received, ContainsSubstring("HTTP/1.1 408 "));
  CHECK_THAT(half_body.received, ContainsSubstring("HTTP/1.1 408 "));
  CHECK(idle.received.ends_with("/a"));
  CHECK(silent.received.empty());
  CHECK(bench.application.calls == 1);
}

// The kernel takes little at first, and much as soon as there is room, so that it seldom asks for more.
TEST_CASE("a slow client has as long as it takes something, one that takes nothing is cut off", "[worker]") {
  Settings settings = bench_settings();
  settings.http.write_timeout = std::chrono::seconds(2);
  WorkerBench bench(settings);
  const bool is_over_at_once = GENERATE(false, true);  // the kernel has all of it, and the connection lingers
  const std::string body(is_over_at_once ? 200'000 : 20'000'000, 'b');
  bench.application.behave = [&](const Request&, ResponseSink& sink) { return FakeApplication::say(sink, body); };
  const std::string request = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  Client reads = bench.connect_over_tcp(16384), rests = bench.connect_over_tcp(16384);
  reads.send(request), rests.send(request);
  const auto began = std::chrono::steady_clock::now();
  auto next = began;
  bench.run_until([&] {
    if (std::chrono::steady_clock::now() >= next) {
      reads.receive(600);
      next += std::chrono::milliseconds(20);
    }
    return std::chrono::steady_clock::now() - began > std::chrono::seconds(6) && bench.services.table.open() <= 1;
  });
  CHECK(bench.services.table.open() == 1);
  CHECK_FALSE(reads.is_closed);
  CHECK(bench.page.report().counts.write_timeouts == 1);
  reads.close();
  bench.run_until([&] { return bench.services.table.is_empty(); });
}

TEST_CASE("time that a client took for one answer is not missing for its last one", "[worker]") {
  Settings settings = bench_settings();
  settings.http.idle_timeout = std::chrono::milliseconds(100);
  WorkerBench bench(settings);
  const std::string body(200'000, 'b');
  bench.application.behave = [&](const Request&, ResponseSink& sink) { return FakeApplication::say(sink, body); };
  Client client = bench.connect_over_tcp(16384);
  const auto rest = [&bench](std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    bench.run_until([end] { return std::chrono::steady_clock::now() > end; });
  };
  client.send(get_a);
  rest(std::chrono::seconds(1));  // over idle_timeout; the kernel has all of it
  bench.run_until([&] { return client.receive().size() > body.size() && client.received.ends_with('b'); });
  client.received.clear();
  client.send("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  rest(std::chrono::milliseconds(3'500));  // over the time for lingering
  bench.run_until([&] { return client.receive().size() > body.size() && client.is_closed; });
}

TEST_CASE("an answer that is given up is cut, so that none looks whole", "[worker]") {
  WorkerBench bench;
  const std::string body(20'000'000, 'b');
  bench.application.behave = [&](const Request&, ResponseSink& sink) { return FakeApplication::say(sink, body); };
  Client client = bench.connect_over_tcp(16384);
  client.send(get_a);
  bench.run_until([&] { return bench.page.report().counts.requests == 1; });
  bench.services.table.for_each([](worker::Connection& connection) { connection.give_up(); });
  CHECK(bench.services.table.is_empty());
  client.receive();
  CHECK_FALSE(client.is_closed);
}

// A worker may die at any moment, and its keeper knows of what was read only what is written down.
TEST_CASE("what was read of a long head is written down before more of it is read", "[worker]") {
  WorkerBench bench;
  Client client = bench.connect_over_tcp();
  const control::ConnectionSlot& slot = bench.shared_table.slot(0);
  const std::string request = "GET /" + std::string(5'000, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n";
  unsigned reads = 0;
  on_recv = [&] {
    if (slot.is_reading == 0 || slot.read_before == 0) return;
    ++reads;
    must(slot.read_before == slot.capacity && slot.state.load() == control::SlotState::unstarted);
    must(slot.is_whole == 1 && slot.length == slot.capacity);
    must(std::string_view(slot.bytes.data(), slot.length) == request.substr(0, slot.length));
  };
  bench.exchange(client, request, "200 OK");
  on_recv = [] {};
  CHECK(reads == 1);
}

TEST_CASE("a refused upload is read for as long as it goes on, so that the client reads why", "[worker]") {
  Settings settings = bench_settings();
  settings.http.max_body = 1_KiB;
  WorkerBench bench(settings);
  Client client = bench.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
  const auto began = std::chrono::steady_clock::now();
  auto next = began;
  bench.run_until([&] {
    if (std::chrono::steady_clock::now() >= next) {
      client.send("xxxxxxxxxx");
      next += std::chrono::milliseconds(100);
    }
    return std::chrono::steady_clock::now() - began > std::chrono::seconds(4);
  });
  CHECK(bench.services.table.open() == 1);
  CHECK_THAT(client.receive(), ContainsSubstring("HTTP/1.1 413 "));
  client.close();
  bench.run_until([&] { return bench.services.table.is_empty(); });
}

TEST_CASE("a request counts when its client has gone, too", "[worker]") {
  WorkerBench bench;
  Client client = bench.connect();
  bench.application.behave = [&](const Request& request, ResponseSink& sink) {
    client.close();
    return FakeApplication::say(sink, request.path);
  };
  client.send(get_a);
  bench.run_until([&] { return bench.services.table.is_empty(); });
  CHECK(bench.page.report().counts.requests == 1);
}

TEST_CASE("100 Continue is sent once, when a body is wanted and has not come", "[worker]") {
  WorkerBench bench;
  Client client = bench.connect();
  client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  bench.run_until([&] { return client.receive() == "HTTP/1.1 100 Continue\r\n\r\n"; });
  CHECK(bench.exchange(client, "ab", "HTTP/1.1 200 OK").size() > 0);

  Client eager = bench.connect();
  CHECK_THAT(bench.exchange(eager, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nab",
                            "200 OK"),
             !ContainsSubstring("100 Continue"));
}

TEST_CASE("OPTIONS * is answered by the server", "[worker]") {
  WorkerBench bench;
  Client client = bench.connect();
  bench.exchange(client, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "200 OK");
  CHECK(bench.application.calls == 0);
}
