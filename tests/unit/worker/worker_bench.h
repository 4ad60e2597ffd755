// Connections of a worker over socket pairs, with a fake application: all of server/worker but the process around it.
// The test's thread is the worker's main thread, and calls the application; while it waits in a call, another one
// leads.
#pragma once

#include "server/control/inbox.h"
#include "server/worker/connection_services.h"
#include "server/worker/crew.h"

#include "tests/support/catch.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace stint::test {

// REQUIRE for what may run on two threads at once, which Catch does not allow while all is well.
inline void must(bool holds) {
  if (!holds) FAIL("this must hold");
}

class FakeApplication final : public Application {
 public:
  using Call = std::function<std::optional<ApplicationFailure>(const Request&, ResponseSink&)>;
  std::optional<ApplicationFailure> call(const Request& request, ResponseSink& sink) override {
    ++calls;
    return behave(request, sink);
  }
  void interrupt(std::uint64_t call, Interruption why) override { interrupted.emplace_back(call, why); }
  void prepare_thread() override { ++prepared; }
  void tidy() override {}

  static std::optional<ApplicationFailure> say(ResponseSink& sink, std::string_view body) {
    must(sink.set_head("200 OK", {}).has_value());
    sink.set_length(body.size());
    sink.write({.bytes = body});
    return std::nullopt;
  }

  Call behave = [](const Request& request, ResponseSink& sink) { return say(sink, request.path); };
  std::vector<std::pair<std::uint64_t, Interruption>> interrupted;
  std::atomic<int> calls{0};
  std::atomic<unsigned> prepared{0};
};

// A call that lasts until somebody says that it may end; false: nobody did.
class LongCall {
 public:
  bool run() {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(15);
    is_running = true;
    while (!may_end && std::chrono::steady_clock::now() < give_up)
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    is_running = false;
    return may_end;
  }
  std::atomic<bool> may_end{false};
  std::atomic<bool> is_running{false};
};

struct SilentLog final : Log {
  void write(LogLevel, std::string_view message, std::initializer_list<LogField>, std::string_view) override {
    messages.emplace_back(message);
  }
  bool is_on(LogLevel) const override { return true; }
  std::vector<std::string> messages;
};

inline Settings bench_settings() {
  Settings settings;
  settings.http = {.head_timeout = std::chrono::seconds(10),
                   .body_timeout = std::chrono::seconds(10),
                   .idle_timeout = std::chrono::seconds(10),
                   .write_timeout = std::chrono::seconds(10),
                   .max_request_line = 8_KiB,
                   .max_header_fields = 100,
                   .max_header_size = 64_KiB,
                   .max_body = 16_MiB,
                   .max_connections = 64};
  return settings;
}

// A request's body, wherever it is.
inline std::string body_of(const Request& request) {
  if (request.body.file < 0) return std::string(request.body.memory);
  std::string body(request.body.size, '\0');
  REQUIRE(::pread(request.body.file, body.data(), body.size(), 0) == static_cast<ssize_t>(body.size()));
  return body;
}

// The client's end of a connection.
class Client {
 public:
  explicit Client(UniqueFd socket) : socket_(std::move(socket)) {}
  void send(std::string_view bytes) {
    must(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  }
  // What is there now, `most` of it.
  std::string& receive(std::size_t most = std::string::npos) {
    char part[65536];
    while (most > 0) {
      const ssize_t got = ::recv(socket_.get(), part, std::min(most, sizeof part), MSG_DONTWAIT);
      if (got == 0) is_closed = true;
      if (got <= 0) break;
      received.append(part, static_cast<std::size_t>(got));
      most -= static_cast<std::size_t>(got);
    }
    return received;
  }
  void half_close() { ::shutdown(socket_.get(), SHUT_WR); }
  void close() { socket_.reset(); }

  std::string received;
  bool is_closed = false;  // the server has ended its side

 private:
  UniqueFd socket_;
};

class WorkerBench final : private worker::CrewWork {
 public:
  explicit WorkerBench(const Settings& s = bench_settings()) : settings(s) {}

  Client connect() {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    REQUIRE(services.table.add(services, UniqueFd(fds[0]), {}).start().has_value());
    return Client(UniqueFd(fds[1]));
  }

  // `receive_buffer`: the client's; 0: the kernel's.
  Client connect_over_tcp(int receive_buffer = 0) {
    const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
    REQUIRE(::listen(listener.get(), 1) == 0);
    REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0);
    UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (receive_buffer > 0)
      REQUIRE(::setsockopt(client.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer) == 0);
    REQUIRE(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
    UniqueFd server(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    REQUIRE(services.table.add(services, std::move(server), {}).start().has_value());
    return Client(std::move(client));
  }

  // As a worker does that takes from the inbox.
  void take_over(control::Handover handover) {
    REQUIRE(handover.sockets.size() == 1);
    worker::Connection& connection = services.table.add(services, std::move(handover.sockets[0]), {});
    REQUIRE(connection.start(&handover).has_value());
    connection.take_over(std::move(handover));
  }
  // What this worker has put into the inbox; fails when there is nothing.
  control::Handover handed_over() {
    auto taken = control::take_from_inbox(inbox.take.get());
    REQUIRE(taken.has_value());
    REQUIRE(taken->has_value());
    return std::move(**taken);
  }

  // Serves until `done`, as a worker does; fails after many seconds. Whichever thread leads asks.
  void run_until(const std::function<bool()>& done, std::chrono::seconds limit = std::chrono::seconds(20)) {
    const auto give_up = std::chrono::steady_clock::now() + limit;
    is_done = [&] { return done() || std::chrono::steady_clock::now() > give_up; };
    if (!std::exchange(is_started, true)) REQUIRE(crew.start().has_value());
    waker.wake();
    crew.run();
    waker.disarm();
    REQUIRE(done());
  }

  std::size_t waiting_requests() const {
    std::size_t count = 0;
    for (std::size_t i = 0; i < shared_table.size(); ++i) {
      if (shared_table.slot(i).state.load() == control::SlotState::unstarted) ++count;
    }
    return count;
  }

  std::string exchange(Client& client, std::string_view bytes, std::string_view until) {
    client.send(bytes);
    run_until([&] { return client.receive().find(until) != std::string::npos; });
    return std::exchange(client.received, {});
  }

  const Settings settings;
  FakeApplication application;
  SilentLog log;
  UniqueFd page_file = std::move(*control::make_status_page());
  control::StatusPage page = std::move(*control::StatusPage::map(page_file.get()));
  UniqueFd table_file = std::move(*control::make_connection_table(settings.http.max_connections));
  control::ConnectionTableView shared_table = std::move(*control::ConnectionTableView::map(table_file.get()));
  control::InboxEnds inbox = std::move(*control::make_inbox());
  std::unique_ptr<worker::EventLoop> loop = std::move(*worker::EventLoop::make());
  std::unique_ptr<worker::AccessLogger> access = std::move(*worker::AccessLogger::make(settings.log, *loop, log));
  std::unique_ptr<worker::PrivateMemory> memory =
      std::move(*worker::PrivateMemory::make(page, Bytes{}, StartMode::fresh));
  std::function<bool()> is_done = [] { return true; };
  worker::Crew crew{*loop, *this, settings.app.workers.threads, [this] { application.prepare_thread(); }};
  worker::ConnectionServices services{settings,        1,       application, *loop, crew.lease(), page, shared_table,
                                      inbox.put.get(), *access, *memory,     log};

 private:
  bool has_waiting() override { return services.dispatcher.has_waiting(); }
  void serve_waiting() override {
    services.dispatcher.serve_waiting();
    services.table.empty_graveyard();
  }
  bool is_over() override { return is_done(); }
  bool is_started = false;  // a test that takes single steps is alone

  // Keeps a step from waiting for ever.
  struct Waker final : worker::Timed {
    explicit Waker(worker::EventLoop& loop) { loop.add(list); }
    void on_deadline() override { wake(); }
    void wake() { list.arm(*this, std::chrono::steady_clock::now()); }
    worker::DeadlineList list{std::chrono::milliseconds(1)};
  } waker{*loop};
};

}  // namespace stint::test
