#include "tests/support/slow_clients.h"

#include "tests/support/answer_reader.h"
#include "tests/support/socket_address.h"

#include <sys/epoll.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <system_error>

namespace stint::test {
namespace {

using Clock = std::chrono::steady_clock;

struct Client {
  enum class State { unopened, connecting, at_work, ended };
  SlowKind kind = SlowKind::head;
  State state = State::unopened;
  UniqueFd socket;
  std::size_t sent = 0;     // of its request
  std::uint64_t slow = 0;   // bytes sent or read one by one
  std::string in;           // of its answer, as far as it is looked at
  std::size_t missing = 0;  // of its answer's body, once its length is known
  int status = 0;           // of that answer
};

std::chrono::microseconds processor_time_of_thread() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::microseconds(used.tv_nsec / 1000);
}

class SlowRun {
 public:
  explicit SlowRun(const SlowLoad& load)
      : load_(load), address_(parse_address(load.address)), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    const std::string rest = " HTTP/1.1\r\nHost: localhost\r\n";
    texts_[SlowKind::idle] = "GET " + load.path + rest + "\r\n";
    texts_[SlowKind::read] = "GET " + load.read_path + rest + "\r\n";
    std::string& head = texts_[SlowKind::head] = "GET " + load.path + rest + "X-Slow: ";
    head.append(load.head_size - std::min(load.head_size, head.size() + 4), 'a').append("\r\n\r\n");
    std::string& body = texts_[SlowKind::body] = "POST " + load.body_path + rest;
    body += "Content-Length: " + std::to_string(load.body_size) + "\r\n\r\n";
    body_head_ = body.size();
    body.append(load.body_size, 'b');

    // One of each kind in turn, so that each kind is spread evenly as well.
    auto left = load.connections;
    for (bool found = true; found;) {
      found = false;
      for (auto& [kind, count] : left) {
        if (count == 0) continue;
        --count;
        found = true;
        clients_.emplace_back().kind = kind;
      }
    }
  }

  SlowReport run() {
    if (clients_.empty()) return {};
    const auto processor_time = processor_time_of_thread();
    const auto began = Clock::now();
    const auto gap = std::chrono::duration_cast<Clock::duration>(load_.pause) / clients_.size();
    auto due = began;  // of the next byte
    std::size_t next = 0;
    while (ended_ < clients_.size() && !(load_.stop != nullptr && *load_.stop)) {
      const auto now = Clock::now();
      if (now - began > load_.duration) break;
      open_those_due(now - began);
      report_.latest = std::max(report_.latest, std::chrono::duration_cast<std::chrono::microseconds>(now - due));
      for (; due <= now; due += gap) {
        step(clients_[next]);
        next = (next + 1) % clients_.size();
      }
      epoll_event events[256];
      const int n = epoll_wait(epoll_.get(), events, 256, wait_limit(due));
      for (int i = 0; i < n; ++i) on_event(clients_[events[i].data.u32], events[i].events);
    }
    for (Client& client : clients_) {
      if (client.state == Client::State::at_work) ++report_.kinds[client.kind].open;
    }
    report_.processor_time = processor_time_of_thread() - processor_time;
    return std::move(report_);
  }

 private:
  int wait_limit(Clock::time_point due) const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - Clock::now()).count();
    return static_cast<int>(std::clamp<long>(left, 0, opened_ < clients_.size() ? 1 : 100));
  }

  void open_those_due(Clock::duration since_began) {
    if (opened_ == clients_.size()) return;
    const double seconds = std::chrono::duration<double>(since_began).count();
    const auto upto = static_cast<std::size_t>(seconds * load_.opened_per_second) + 1;
    for (; opened_ < std::min(upto, clients_.size()); ++opened_) open(clients_[opened_]);
  }

  void open(Client& client) {
    client.socket = make_socket(address_, SOCK_NONBLOCK);
    if (client.kind == SlowKind::read) {
      setsockopt(client.socket.get(), SOL_SOCKET, SO_RCVBUF, &load_.receive_buffer, sizeof load_.receive_buffer);
    }
    const auto* address = reinterpret_cast<const sockaddr*>(&address_.storage);
    if (connect(client.socket.get(), address, address_.size) != 0 && errno != EINPROGRESS) return fail_connect(client);
    client.state = Client::State::connecting;
    watch(client, EPOLL_CTL_ADD, EPOLLOUT);
  }

  void fail_connect(Client& client) {
    ++report_.failed_connects;
    count_connect();
    end(client);
  }

  void count_connect() {
    if (++connected_ == clients_.size() && load_.on_all_open) load_.on_all_open();
  }

  void watch(Client& client, int operation, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.u32 = static_cast<std::uint32_t>(&client - clients_.data());
    if (epoll_ctl(epoll_.get(), operation, client.socket.get(), &event) != 0) {
      throw std::system_error(errno, std::generic_category(), "epoll_ctl");
    }
  }

  void end(Client& client) {
    client.state = Client::State::ended;
    client.socket.reset();
    client.in = {};
    ++ended_;
  }

  SlowCounts& counts(const Client& client) { return report_.kinds[client.kind]; }
  const std::string& text(const Client& client) const { return texts_.at(client.kind); }
  bool has_sent_all(const Client& client) const { return client.sent == text(client).size(); }

  void on_event(Client& client, std::uint32_t events) {
    if (client.state == Client::State::connecting) return on_connected(client);
    if (client.state != Client::State::at_work) return;
    if ((events & EPOLLOUT) != 0) send(client, SlowLoad::all);
    if (client.state == Client::State::at_work && (events & ~EPOLLOUT) != 0) receive(client);
  }

  void on_connected(Client& client) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(client.socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return fail_connect(client);
    client.state = Client::State::at_work;
    ++counts(client).opened;
    count_connect();
    // A slow reader is told of errors only: what there is to read it leaves there.
    watch(client, EPOLL_CTL_MOD, client.kind == SlowKind::read ? 0U : static_cast<std::uint32_t>(EPOLLIN));
    if (client.kind == SlowKind::idle || client.kind == SlowKind::read) send(client, SlowLoad::all);
    if (client.kind == SlowKind::body) send(client, body_head_);
  }

  // A client's turn has come.
  void step(Client& client) {
    if (client.state != Client::State::at_work || client.kind == SlowKind::idle) return;
    const bool is_slow = client.slow < load_.slow_bytes;
    if (client.kind == SlowKind::read) {
      if (is_slow) return receive_byte(client);
      return watch(client, EPOLL_CTL_MOD, EPOLLIN);
    }
    if (has_sent_all(client)) return;  // its answer is on its way
    if (!is_slow) return send(client, SlowLoad::all);
    const std::size_t before = client.sent;
    send(client, 1);
    client.slow += client.sent - before;
    counts(client).bytes += client.sent - before;
  }

  void send(Client& client, std::size_t most) {
    const std::string_view unsent = std::string_view(text(client)).substr(client.sent, most);
    if (!unsent.empty()) {
      const ssize_t sent = ::send(client.socket.get(), unsent.data(), unsent.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno != EAGAIN) return receive(client);  // perhaps the server said why
      if (sent > 0) client.sent += static_cast<std::size_t>(sent);
    }
    if (most == SlowLoad::all) watch(client, EPOLL_CTL_MOD, has_sent_all(client) ? EPOLLIN : EPOLLIN | EPOLLOUT);
    if (most == SlowLoad::all && client.kind == SlowKind::read) watch(client, EPOLL_CTL_MOD, 0);
  }

  void receive_byte(Client& client) {
    char byte = 0;
    const ssize_t size = ::recv(client.socket.get(), &byte, 1, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) return;
    if (size > 0) {
      ++client.slow;
      ++counts(client).bytes;
      return take(client, {&byte, 1});
    }
    on_end(client, size == 0);
  }

  void receive(Client& client) {
    const ssize_t size = ::recv(client.socket.get(), buffer_, sizeof buffer_, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return on_end(client, size == 0);
    take(client, {buffer_, static_cast<std::size_t>(size)});
  }

  void take(Client& client, std::string_view bytes) {
    if (client.missing > 0) {  // nothing else of it is of interest: thousands of large bodies are not kept
      client.missing -= std::min(client.missing, bytes.size());
      if (client.missing == 0) count_answer(client, client.status);
      return;
    }
    client.in.append(bytes);
    look_for_answer(client, false);
  }

  // True: there was a whole one, and it has been counted.
  bool look_for_answer(Client& client, bool has_ended) {
    ReadAnswer answer;
    if (read_answer(client.in, has_ended, joined_, answer) != Reading::complete) {
      client.missing = answer.missing;
      client.status = answer.status;
      return false;
    }
    if (client.kind == SlowKind::idle && !answer.announces_close) {
      ++counts(client).statuses[answer.status];
      client.in = {};  // and from now on it says nothing
      return true;
    }
    count_answer(client, answer.status);
    return true;
  }

  void count_answer(Client& client, int status) {
    SlowCounts& its = counts(client);
    ++its.statuses[status];
    ++(has_sent_all(client) ? its.answered : its.refused);
    end(client);
  }

  void on_end(Client& client, bool is_orderly) {
    SlowCounts& its = counts(client);
    if (is_orderly && !client.in.empty() && look_for_answer(client, true)) return;
    if (!is_orderly) {
      ++its.resets;
    } else {
      ++(client.in.empty() ? its.closed : its.truncated);
    }
    end(client);
  }

  const SlowLoad& load_;
  SocketAddress address_;
  UniqueFd epoll_;
  std::map<SlowKind, std::string> texts_;  // what a client of the kind sends
  std::size_t body_head_ = 0;              // of the text of bodies
  std::vector<Client> clients_;
  std::size_t opened_ = 0;     // of clients_, in their order
  std::size_t connected_ = 0;  // or failed to
  std::size_t ended_ = 0;
  std::string joined_;
  char buffer_[65536];
  SlowReport report_;
};

}  // namespace

std::string_view text_of(SlowKind kind) {
  switch (kind) {
    case SlowKind::idle:
      return "idle";
    case SlowKind::head:
      return "head";
    case SlowKind::body:
      return "body";
    case SlowKind::read:
      return "read";
  }
  return "?";
}

std::string SlowReport::text() const {
  std::ostringstream out;
  for (const auto& [kind, its] : kinds) {
    out << text_of(kind) << ": opened " << its.opened << ", open " << its.open << ", answered " << its.answered
        << ", refused " << its.refused << ", truncated " << its.truncated << ", closed " << its.closed << ", resets "
        << its.resets << ", slow bytes " << its.bytes << ", statuses";
    for (const auto& [status, count] : its.statuses) out << " " << status << " x " << count;
    out << "\n";
  }
  out << "failed connects " << failed_connects << ", latest byte " << latest.count() << " us";
  return out.str();
}

SlowReport run_slow_clients(const SlowLoad& load) { return SlowRun(load).run(); }

}  // namespace stint::test
