#include "server/worker/keeper.h"

#include "server/net/byte_counts.h"

#include "tests/support/eventually.h"
#include "tests/unit/worker/worker_bench.h"

#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>

#include <csignal>

using namespace stint;
using namespace stint::test;
using Catch::Matchers::ContainsSubstring;
using control::SlotState;
using control::Verdict;

namespace {

constexpr std::string_view get_a = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr std::string_view post_a = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";

// Brings a connection to a state and has the keeper's work done there, as if the worker had died in it. The worker's
// own objects are left as they are, like a dead process leaves its memory.
struct DeadWorker {
  WorkerBench bench;
  Client client = bench.connect();
  bool retries = true;

  void die_while(std::string_view bytes) {
    client.send(bytes);
    bench.loop->step();
    relieve();
  }
  struct Death {};  // leaves the loop where it is, as nothing but a death does
  // Dies within the call.
  void die_in_call(std::string_view bytes, std::string_view written = {}) {
    bench.application.behave = [this, written](const Request&,
                                               ResponseSink& sink) -> std::optional<ApplicationFailure> {
      if (!written.empty()) {
        REQUIRE(sink.set_head("200 OK", {}).has_value());
        sink.write({.bytes = written});
        REQUIRE(sink.flush().has_value());
      }
      relieve();
      throw Death{};
    };
    client.send(bytes);
    CHECK_THROWS_AS(bench.loop->step(), Death);
  }
  void relieve() {
    // The keeper closes what the bench's connection closes again at its end: give it copies of the descriptors to
    // close.
    for (std::size_t i = 0; i < bench.shared_table.size(); ++i) {
      control::ConnectionSlot& slot = bench.shared_table.slot(i);
      if (slot.state.load() == SlotState::free) continue;
      slot.socket = ::fcntl(slot.socket, F_DUPFD_CLOEXEC, 0);
      if (slot.body_file >= 0) slot.body_file = ::fcntl(slot.body_file, F_DUPFD_CLOEXEC, 0);
    }
    worker::relieve_dead_worker(
        {.table = bench.shared_table, .inbox_put = bench.inbox.put.get(), .retries_interrupted = retries});
  }
  bool has_handed_over() {
    auto taken = control::take_from_inbox(bench.inbox.take.get());
    return taken.has_value() && taken->has_value();
  }
};

}  // namespace

TEST_CASE("a dead worker's idle connection and half head go to the inbox with their bytes", "[worker]") {
  DeadWorker idle;
  idle.relieve();
  CHECK(idle.bench.handed_over().bytes.empty());

  DeadWorker half;
  half.die_while("GET /a HTTP/1.1\r\nHo");
  const control::Handover handover = half.bench.handed_over();
  CHECK(handover.bytes == "GET /a HTTP/1.1\r\nHo");
  CHECK(handover.header.attempts == 0);
}

TEST_CASE("a dead worker's half body goes to the inbox, and another worker completes it", "[worker]") {
  DeadWorker dead;
  dead.die_while("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello");
  WorkerBench other;
  std::string body;
  other.application.behave = [&](const Request& request, ResponseSink& sink) {
    body = body_of(request);
    return FakeApplication::say(sink, "done");
  };
  other.take_over(dead.bench.handed_over());
  other.exchange(dead.client, "world", "done");
  CHECK(body == "helloworld");
}

TEST_CASE("a safe request that was interrupted is served once more, and says so, and a second death is 502",
          "[worker]") {
  DeadWorker dead;
  dead.die_in_call(std::string(get_a) + "GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
  control::Handover handover = dead.bench.handed_over();
  CHECK(handover.header.attempts == 1);

  DeadWorker second;
  bool was_interrupted = false;
  int call = 0;
  second.bench.application.behave = [&](const Request& request, ResponseSink& sink) {
    if (++call == 1) was_interrupted = request.was_interrupted;
    return FakeApplication::say(sink, request.path);
  };
  SECTION("served") {
    second.bench.take_over(std::move(handover));
    second.bench.run_until([&] { return dead.client.receive().ends_with("/b"); });
    CHECK(was_interrupted);
    CHECK(call == 2);  // the pipelined one came along
  }
  SECTION("killed again") {
    second.bench.application.behave = [&](const Request&, ResponseSink&) -> std::optional<ApplicationFailure> {
      second.relieve();
      throw DeadWorker::Death{};
    };
    CHECK_THROWS_AS(second.bench.take_over(std::move(handover)), DeadWorker::Death);
    CHECK(second.has_handed_over());  // the bench's own idle connection
    CHECK_FALSE(second.has_handed_over());
    CHECK_THAT(dead.client.receive(), ContainsSubstring("HTTP/1.1 502 Bad Gateway"));
  }
}

TEST_CASE("an interrupted request that is not safe, or not to be retried, is answered with the verdict", "[worker]") {
  DeadWorker post;
  post.die_in_call(post_a);
  CHECK_FALSE(post.has_handed_over());
  CHECK_THAT(post.client.receive(), ContainsSubstring("HTTP/1.1 502 Bad Gateway"));

  DeadWorker unwanted;
  unwanted.retries = false;
  unwanted.die_in_call(get_a);
  CHECK_THAT(unwanted.client.receive(), ContainsSubstring("HTTP/1.1 502 Bad Gateway"));

  const auto [verdict, line] = GENERATE(
      table<Verdict, std::string>({{Verdict::memory, "HTTP/1.1 503 "}, {Verdict::timed_out, "HTTP/1.1 504 "}}));
  DeadWorker killed;
  killed.bench.shared_table.header().verdict.store(verdict);
  killed.die_in_call(get_a);
  CHECK_FALSE(killed.has_handed_over());
  CHECK_THAT(killed.client.receive(), ContainsSubstring(line));
}

TEST_CASE("over TCP the keeper knows a whole answer from one that was never begun", "[worker]") {
  DeadWorker dead;
  Client client = dead.bench.connect_over_tcp();
  control::ConnectionSlot& slot = dead.bench.shared_table.slot(1);
  dead.bench.exchange(client, get_a, "/a");
  const std::uint64_t first_answer = *net::written_bytes(slot.socket);

  // As if it had died right after, or right before, the send(2) that gave all of a second answer to the kernel.
  const bool was_sent = GENERATE(true, false);
  dead.bench.exchange(client, get_a, "/a");
  slot.written_before = was_sent ? first_answer : 2 * first_answer;
  slot.answer_length = first_answer;
  slot.keeps_alive = 1;
  const std::string_view head = "GET /c HTTP/1.1\r\nHost: h\r\n\r\n";
  std::copy(head.begin(), head.end(), slot.bytes.begin());
  slot.head_length = slot.length = static_cast<std::uint32_t>(head.size());
  slot.state.store(SlotState::answering);
  dead.bench.shared_table.slot(0).state.store(SlotState::free);
  dead.relieve();

  const control::Handover handover = dead.bench.handed_over();
  CHECK(handover.bytes == (was_sent ? "" : head));
  CHECK(handover.header.attempts == (was_sent ? 0 : 1));
  CHECK_FALSE((client.receive(), client.is_closed));
}

TEST_CASE("the end of a client's side is no byte that was read", "[worker]") {
  WorkerBench bench;
  Client client = bench.connect_over_tcp();
  const int socket = bench.shared_table.slot(0).socket;
  client.send("12345678");
  char taken[100];
  REQUIRE(::recv(socket, taken, sizeof taken, 0) == 8);
  CHECK(net::read_bytes(socket) == 8U);
  client.half_close();
  CHECK(eventually([&] { return ::recv(socket, taken, sizeof taken, MSG_DONTWAIT) == 0; }));
  CHECK(net::read_bytes(socket) == 8U);
}

TEST_CASE("over TCP the keeper knows whether a read that was under way took anything", "[worker]") {
  DeadWorker dead;
  Client client = dead.bench.connect_over_tcp();
  control::ConnectionSlot& slot = dead.bench.shared_table.slot(1);
  dead.bench.exchange(client, get_a, "/a");
  client.send(get_a);
  dead.bench.shared_table.slot(0).state.store(SlotState::free);
  slot.is_reading = 1;
  slot.read_before = get_a.size();
  SECTION("not yet") {
    dead.relieve();
    CHECK(dead.bench.handed_over().bytes.empty());
  }
  SECTION("a request, into the slot: another worker serves it") {
    REQUIRE(::recv(slot.socket, slot.bytes.data(), slot.bytes.size(), 0) == static_cast<ssize_t>(get_a.size()));
    dead.relieve();
    WorkerBench other;
    other.take_over(dead.bench.handed_over());
    other.run_until([&] { return client.receive().ends_with("/a"); });
  }
  SECTION("a request, into the slot, which was being written down there: the client is told") {
    REQUIRE(::recv(slot.socket, slot.bytes.data(), slot.bytes.size(), 0) == static_cast<ssize_t>(get_a.size()));
    slot.is_whole = 0;
    dead.relieve();
    CHECK_FALSE(dead.has_handed_over());
    CHECK_THAT(client.receive(), ContainsSubstring("HTTP/1.1 502 Bad Gateway"));
  }
  SECTION("a part of a request, elsewhere, and it is lost: the client is told") {
    char taken[1000];
    REQUIRE(::recv(slot.socket, taken, sizeof taken, 0) == static_cast<ssize_t>(get_a.size()));
    slot.state.store(SlotState::unstarted);
    dead.relieve();
    CHECK_FALSE(dead.has_handed_over());
    CHECK_THAT(client.receive(), ContainsSubstring("HTTP/1.1 502 Bad Gateway"));
  }
}

TEST_CASE("a half-sent answer is left visibly cut, and never served again", "[worker]") {
  DeadWorker dead;
  dead.die_in_call(get_a, "half");
  CHECK_FALSE(dead.has_handed_over());
  dead.client.receive();
  CHECK(dead.client.received.ends_with("4\r\nhalf\r\n"));
  CHECK(dead.client.is_closed);
}

TEST_CASE("a keeper sleeps while its worker lives and hands over when it is killed", "[worker]") {
  auto table_file = *control::make_connection_table(4);
  auto table = *control::ConnectionTableView::map(table_file.get());
  auto inbox = *control::make_inbox();
  const pid_t worker = ::fork();
  REQUIRE(worker >= 0);
  if (worker == 0) {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) ::_exit(1);
    table.slot(0).socket = fds[0];
    const auto watched = worker::start_keeper({.table = table, .inbox_put = inbox.put.get()});
    if (!watched.has_value()) ::_exit(2);
    table.slot(0).state.store(SlotState::idle);
    for (;;) ::pause();
  }
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (table.slot(0).state.load() != SlotState::idle && std::chrono::steady_clock::now() < give_up) ::usleep(1000);
  const pid_t keeper = table.header().keeper.load();
  REQUIRE(keeper > 0);
  CHECK_FALSE(control::take_from_inbox(inbox.take.get())->has_value());

  REQUIRE(::kill(worker, SIGKILL) == 0);
  int status = 0;
  REQUIRE(::waitpid(worker, &status, 0) == worker);
  REQUIRE(::waitpid(keeper, &status, 0) == keeper);  // our child, not the worker's
  CHECK(WIFEXITED(status));
  const auto taken = control::take_from_inbox(inbox.take.get());
  REQUIRE(taken.has_value());
  REQUIRE(taken->has_value());
  CHECK((*taken)->sockets.size() == 1);
}
