#include "server/control/idle_workers.h"
#include "server/worker/acceptor.h"
#include "server/worker/drain.h"
#include "tests/unit/worker/worker_bench.h"

using namespace stint;
using namespace stint::test;
using Catch::Matchers::ContainsSubstring;
using control::SlotState;

namespace {

constexpr std::string_view get_a = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

// One worker hands its only connection over, another takes it.
void move_connection(WorkerBench& from, WorkerBench& to) {
  from.services.is_draining = true;
  from.services.table.for_each([](worker::Connection& connection) { REQUIRE(connection.hand_over()); });
  from.services.table.empty_graveyard();
  CHECK(from.services.table.is_empty());
  CHECK(from.shared_table.slot(0).state.load() == SlotState::free);
  to.take_over(from.handed_over());
}

}  // namespace

TEST_CASE("an idle connection goes to another worker and on from there", "[worker]") {
  WorkerBench old_worker, new_worker;
  Client client = old_worker.connect();
  old_worker.exchange(client, get_a, "/a");
  move_connection(old_worker, new_worker);
  CHECK_FALSE((client.receive(), client.is_closed));
  new_worker.exchange(client, get_a, "/a");
  CHECK(new_worker.application.calls == 1);
}

TEST_CASE("a connection goes over with half a head or half a body, wherever it is cut", "[worker]") {
  const std::string request =
      GENERATE(std::string("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world"),
               std::string("POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n "
                           "world\r\n0\r\n\r\n"));
  for (std::size_t cut = 1; cut < request.size(); ++cut) {
    // Trailers are the one place where a connection stays until it is through them.
    if (request.find("chunked") != std::string::npos && cut >= request.size() - 4) continue;
    CAPTURE(cut);
    WorkerBench old_worker, new_worker;
    std::string body;
    new_worker.application.behave = [&](const Request& got, ResponseSink& sink) {
      body = body_of(got);
      CHECK_FALSE(got.was_interrupted);
      return FakeApplication::say(sink, "done");
    };
    Client client = old_worker.connect();
    client.send(request.substr(0, cut));
    old_worker.loop->step();
    move_connection(old_worker, new_worker);
    new_worker.exchange(client, request.substr(cut), "done");
    CHECK(body == "hello world");
    CHECK(old_worker.application.calls == 0);
  }
}

TEST_CASE("a draining worker finishes the request it has and then hands the connection over", "[worker]") {
  WorkerBench old_worker, new_worker;
  Client client = old_worker.connect();
  old_worker.application.behave = [&](const Request& request, ResponseSink& sink) {
    old_worker.services.is_draining = true;  // the order comes during the call
    return FakeApplication::say(sink, request.path);
  };
  const std::string answer = old_worker.exchange(client, get_a, "/a");
  CHECK_THAT(answer, !ContainsSubstring("Connection: close"));
  CHECK(old_worker.services.table.is_empty());
  new_worker.take_over(old_worker.handed_over());
  new_worker.exchange(client, get_a, "/a");
}

TEST_CASE("with a full inbox a connection stays, and its next answer announces the close", "[worker]") {
  WorkerBench bench;
  const std::string large(control::most_bytes_in_packet, 'x');
  const int any = bench.page_file.get();
  const auto put = [&](std::string_view bytes) {
    control::HandoverHeader header;
    header.length = static_cast<std::uint32_t>(bytes.size());
    return control::put_into_inbox(bench.inbox.put.get(), header, bytes, {&any, 1});
  };
  while (put(large) == 0) {
  }
  while (put({}) == 0) {
  }
  Client client = bench.connect();
  bench.exchange(client, get_a, "/a");
  bench.services.is_draining = true;
  bench.services.table.for_each([](worker::Connection& connection) { CHECK_FALSE(connection.hand_over()); });
  CHECK(bench.shared_table.slot(0).state.load() == SlotState::idle);
  CHECK_THAT(bench.exchange(client, get_a, "/a"), ContainsSubstring("Connection: close"));
}

TEST_CASE("a connection that finds the inbox full is handed over when there is room again", "[worker]") {
  WorkerBench bench;
  const UniqueFd page = std::move(*control::make_idle_workers());
  control::IdleWorkers idle = std::move(*control::IdleWorkers::map(page.get()));
  worker::Acceptor acceptor({}, UniqueFd(::dup(bench.inbox.take.get())), idle, bench.services);
  worker::Drain drain(bench.services, acceptor, std::chrono::seconds(20), false);
  const int any = bench.page_file.get();
  bench.application.behave = [&](const Request& request, ResponseSink& sink) {
    bench.services.is_draining = true;  // the order comes during the call
    while (control::put_into_inbox(bench.inbox.put.get(), {}, {}, {&any, 1}) == 0) {
    }
    return FakeApplication::say(sink, request.path);
  };
  Client client = bench.connect();
  bench.exchange(client, get_a, "/a");
  REQUIRE(bench.services.table.open() == 1);
  while (control::take_from_inbox(bench.inbox.take.get())->has_value()) {
  }
  drain.look();
  bench.run_until([&] { return bench.services.table.is_empty(); });
  CHECK(bench.handed_over().header.length == 0);
  CHECK_FALSE(client.is_closed);
}

TEST_CASE("the shared slot tells what a connection is at", "[worker]") {
  WorkerBench bench;
  Client client = bench.connect();
  const control::ConnectionSlot& slot = bench.shared_table.slot(0);
  CHECK(slot.state.load() == SlotState::idle);

  client.send("GET /a HT");
  bench.loop->step();
  CHECK(slot.state.load() == SlotState::unstarted);
  CHECK(std::string_view(slot.bytes.data(), slot.length) == "GET /a HT");
  CHECK(slot.is_whole == 1);

  SlotState during{};
  bench.application.behave = [&](const Request& request, ResponseSink& sink) {
    during = slot.state.load();
    CHECK(control::request_line_of({slot.bytes.data(), slot.head_length}).target == "/a");
    CHECK(std::string_view(slot.request_id.data(), 16) == request.id);
    REQUIRE(sink.set_head("200 OK", {}).has_value());
    sink.write({.bytes = "x"});
    REQUIRE(sink.flush().has_value());
    CHECK(slot.state.load() == SlotState::answering);
    return std::optional<ApplicationFailure>();
  };
  bench.exchange(client, "TP/1.1\r\nHost: h\r\n\r\n", "0\r\n\r\n");
  CHECK(during == SlotState::calling);
  CHECK(slot.state.load() == SlotState::idle);
}
