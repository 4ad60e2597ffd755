#include "server/worker/acceptor.h"

#include "server/control/idle_workers.h"
#include "server/worker/drain.h"
#include "tests/unit/worker/worker_bench.h"

using namespace stint;
using namespace stint::test;

namespace {

struct AcceptorBench {
  explicit AcceptorBench(bool serves = true, const Settings& settings = bench_settings()) : bench(settings) {
    if (serves) REQUIRE(acceptor.start().has_value());
  }

  static net::Listener open() {
    auto listener = net::open_listener({ListenAddress::Family::ipv4, "127.0.0.1", 0, ""});
    REQUIRE(listener.has_value());
    return std::move(*listener);
  }
  static std::vector<net::Listener> copy_of(const net::Listener& listener) {
    std::vector<net::Listener> copies;
    copies.push_back({UniqueFd(::dup(listener.socket.get())), listener.address, {}});
    return copies;
  }
  UniqueFd connect_to_listener() const {
    UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{
        .sin_family = AF_INET, .sin_port = htons(listener.address.port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    REQUIRE(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    return client;
  }

  std::size_t connections() const { return bench.services.table.open(); }

  WorkerBench bench;
  const net::Listener listener = open();
  const UniqueFd idle_page = std::move(*control::make_idle_workers());
  control::IdleWorkers idle = std::move(*control::IdleWorkers::map(idle_page.get()));
  worker::Acceptor acceptor{copy_of(listener), UniqueFd(::dup(bench.inbox.take.get())), idle, bench.services};
};

}  // namespace

// The kernel has woken this worker for it, and nobody else.
TEST_CASE("who lets the listeners go first takes the connection it may have been woken for", "[worker]") {
  AcceptorBench one;
  const UniqueFd client = one.connect_to_listener();
  one.acceptor.hold(true, true);
  CHECK(one.connections() == 1);
  const UniqueFd later = one.connect_to_listener();
  one.acceptor.hold(true, true);
  one.acceptor.look();
  CHECK(one.connections() == 1);  // it is for others
}

TEST_CASE("a connection that nobody was woken for is found by the next look", "[worker]") {
  AcceptorBench one;
  const UniqueFd client = one.connect_to_listener();
  one.acceptor.look();
  CHECK(one.connections() == 1);
  one.acceptor.close();
  const UniqueFd later = one.connect_to_listener();
  one.acceptor.look();
  CHECK(one.connections() == 1);
  CHECK(one.acceptor.take_from_listeners(1));
  CHECK(one.connections() == 2);
}

TEST_CASE("a stopping worker takes what waits, but not one that was never told to serve", "[worker]") {
  const bool serves = GENERATE(true, false);
  AcceptorBench one(serves);
  const UniqueFd client = one.connect_to_listener();
  worker::Drain drain(one.bench.services, one.acceptor, std::chrono::seconds(10), false);
  drain.begin(true);
  CHECK(one.connections() == (serves ? 1 : 0));
  CHECK(drain.is_over() == !serves);
}

TEST_CASE("a look finds what waits in the inbox as well", "[worker]") {
  AcceptorBench one;
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  const UniqueFd client(ends[0]), connection(ends[1]);
  REQUIRE(control::put_into_inbox(one.bench.inbox.put.get(), {}, {}, {&ends[1], 1}) == 0);
  one.acceptor.look();
  CHECK(one.connections() == 1);
}

TEST_CASE("all that waits in a listener that goes is handed over, also by a worker that has no room for it",
          "[worker]") {
  Settings settings = bench_settings();
  settings.http.max_connections = 4;
  AcceptorBench one(true, settings);
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(one.connect_to_listener());
  worker::Drain drain(one.bench.services, one.acceptor, std::chrono::seconds(10), false);
  drain.begin(false, true);
  CHECK(drain.is_over());
  for (int i = 0; i < 10; ++i) CHECK(one.bench.handed_over().sockets.size() == 1);
}
