#include "tests/support/open_load.h"

#include "tests/support/answer_reader.h"
#include "tests/support/socket_address.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <random>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace stint::test {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

constexpr std::size_t most_examples = 10;

[[noreturn]] void fail(const std::string& doing) { throw std::system_error(errno, std::generic_category(), doing); }

void watch(int epoll, int fd, std::uint32_t number) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = number;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail("watch a connection");
}

// Answers whatever it reads, at once, in a thread of its own.
class BareResponder {
 public:
  BareResponder() {
    SocketAddress any = parse_address("127.0.0.1:0");
    if (bind(listener_.get(), reinterpret_cast<sockaddr*>(&any.storage), any.size) != 0 ||
        listen(listener_.get(), 1024) != 0 ||
        getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&any.storage), &any.size) != 0)
      fail("listen");
    sockaddr_in name;
    std::memcpy(&name, &any.storage, sizeof name);
    address_ = "127.0.0.1:" + std::to_string(ntohs(name.sin_port));
    watch(epoll_.get(), listener_.get(), 0);
    watch(epoll_.get(), end_.get(), 0);
    thread_ = std::thread([this] { answer(); });
  }
  BareResponder(const BareResponder&) = delete;
  BareResponder& operator=(const BareResponder&) = delete;
  ~BareResponder() {
    const std::uint64_t one = 1;
    static_cast<void>(!write(end_.get(), &one, sizeof one));
    thread_.join();
  }
  const std::string& address() const { return address_; }

 private:
  void answer() {
    constexpr std::string_view text = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!";
    std::deque<UniqueFd> sockets;
    std::array<char, 4096> buffer;
    for (;;) {
      epoll_event event;
      if (epoll_wait(epoll_.get(), &event, 1, -1) != 1) continue;
      if (event.data.u32 == 0) {
        UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!socket.is_open()) return;  // it was the end
        watch(epoll_.get(), socket.get(), static_cast<std::uint32_t>(socket.get()));
        sockets.push_back(std::move(socket));
        continue;
      }
      const int fd = static_cast<int>(event.data.u32);
      if (recv(fd, buffer.data(), buffer.size(), 0) > 0) {
        static_cast<void>(send(fd, text.data(), text.size(), MSG_NOSIGNAL));
      } else {
        epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
      }
    }
  }

  UniqueFd listener_ = make_socket(parse_address("127.0.0.1:0"), SOCK_NONBLOCK);
  UniqueFd epoll_{epoll_create1(EPOLL_CLOEXEC)};
  UniqueFd end_{eventfd(0, EFD_CLOEXEC)};
  std::string address_;
  std::thread thread_;
};

struct Connection {
  UniqueFd socket;
  std::size_t arrival = 0;  // in flight, while it is busy
  bool is_busy = false;
  std::string in;
};

class OpenRun {
 public:
  OpenRun(const OpenLoad& load, const std::string& address)
      : load_(load), address_(parse_address(address)), connections_(load.connections) {
    report_.took.assign(load.arrivals.size(), microseconds(-1));
    report_.sent_late.assign(load.arrivals.size(), microseconds(0));
    for (Connection& connection : connections_) {
      open(connection);
      free_.push_back(&connection);
    }
    watch(epoll_.get(), timer_.get(), load.connections);
  }

  OpenLoadReport run() {
    began_ = Clock::now();
    while (next_ < load_.arrivals.size() || free_.size() < connections_.size() || !waiting_.empty()) {
      send_what_is_due();
      epoll_event events[64];
      const int n = epoll_wait(epoll_.get(), events, 64, 1000);
      for (int i = 0; i < n; ++i) {
        if (events[i].data.u32 < connections_.size()) read(connections_[events[i].data.u32]);
      }
      if (n <= 0 && since_beginning() > load_.arrivals.back().at + load_.timeout) break;
    }
    return std::move(report_);
  }

 private:
  microseconds since_beginning() const { return std::chrono::duration_cast<microseconds>(Clock::now() - began_); }

  void open(Connection& connection) {
    connection.in.clear();
    connection.socket = make_socket(address_, SOCK_CLOEXEC);
    if (connect(connection.socket.get(), reinterpret_cast<const sockaddr*>(&address_.storage), address_.size) != 0)
      fail("connect");
    watch(epoll_.get(), connection.socket.get(), static_cast<std::uint32_t>(&connection - connections_.data()));
  }

  void send_what_is_due() {
    for (; next_ < load_.arrivals.size() && load_.arrivals[next_].at <= since_beginning(); ++next_) {
      if (free_.empty()) ++report_.had_to_wait;
      waiting_.push_back(next_);
    }
    for (; !waiting_.empty() && !free_.empty(); waiting_.pop_front()) send(waiting_.front());
    // A timer, because epoll_wait's own limit is in milliseconds. All zeros stop it.
    itimerspec timer{};
    if (next_ < load_.arrivals.size()) {
      const auto due = (began_ + load_.arrivals[next_].at).time_since_epoch();
      const auto seconds = std::chrono::floor<std::chrono::seconds>(due);
      timer.it_value.tv_sec = seconds.count();
      timer.it_value.tv_nsec = std::chrono::nanoseconds(due - seconds).count();
    }
    if (timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &timer, nullptr) != 0) fail("set the timer");
  }

  void send(std::size_t arrival) {
    std::swap(free_[std::uniform_int_distribution<std::size_t>(0, free_.size() - 1)(random_)], free_.back());
    Connection& connection = *free_.back();
    free_.pop_back();
    connection.is_busy = true;
    connection.arrival = arrival;
    const std::string bytes = "GET " + load_.arrivals[arrival].path + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
    report_.sent_late[arrival] = since_beginning() - load_.arrivals[arrival].at;
    if (::send(connection.socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size()))
      end(connection, std::string("send: ") + std::strerror(errno));
  }

  void read(Connection& connection) {
    std::array<char, 16384> buffer;
    const ssize_t got = recv(connection.socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return end(connection, got == 0 ? "closed" : std::string("recv: ") + std::strerror(errno));
    connection.in.append(buffer.data(), static_cast<std::size_t>(got));
    std::string joined;
    ReadAnswer answer;
    switch (read_answer(connection.in, false, joined, answer)) {
      case Reading::incomplete:
        return;
      case Reading::malformed:
        return end(connection, "malformed: " + connection.in.substr(0, 100));
      case Reading::complete:
        break;
    }
    if (!connection.is_busy) return end(connection, "an answer without a request");
    if (answer.status != 200) return end(connection, "status " + std::to_string(answer.status));
    report_.took[connection.arrival] = since_beginning() - load_.arrivals[connection.arrival].at;
    ++report_.answers_by_worker[answer.worker_pid];
    connection.in.erase(0, answer.size);
    connection.is_busy = false;
    free_.push_back(&connection);
    if (answer.announces_close) open(connection);
  }

  // Of a connection: with a request in flight, that has failed.
  void end(Connection& connection, const std::string& why) {
    if (!connection.is_busy) {
      ++report_.reopened;
    } else {
      if (report_.examples.size() < most_examples) report_.examples.push_back(why);
      connection.is_busy = false;
      free_.push_back(&connection);
    }
    open(connection);
  }

  const OpenLoad& load_;
  const SocketAddress address_;
  UniqueFd epoll_{epoll_create1(EPOLL_CLOEXEC)};
  UniqueFd timer_{timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};  // never read: set anew instead
  std::vector<Connection> connections_;
  std::vector<Connection*> free_;
  std::deque<std::size_t> waiting_;  // arrivals that are due
  std::size_t next_ = 0;
  Clock::time_point began_;
  std::minstd_rand random_{1};
  OpenLoadReport report_;
};

}  // namespace

OpenLoadReport run_open_load(const OpenLoad& load) {
  if (load.arrivals.empty() || load.connections == 0) throw std::invalid_argument("no arrivals, or no connections");
  if (!load.address.empty()) return OpenRun(load, load.address).run();
  const BareResponder responder;
  return OpenRun(load, responder.address()).run();
}

}  // namespace stint::test
