#include "tests/support/strict_client.h"

#include "tests/support/answer_reader.h"
#include "tests/support/socket_address.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <set>
#include <sstream>
#include <system_error>

namespace stint::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t failures_to_give_up = 1000;  // of connecting: otherwise a dead server is asked for ever

struct InFlight {
  std::size_t path = 0;
  Clock::time_point sent;
};

struct Connection {
  enum class State { closed, connecting, open };
  State state = State::closed;
  UniqueFd socket;
  Clock::time_point began_connecting;
  std::string out;
  std::string in;
  std::size_t read_up_to = 0;  // of `in`
  std::deque<InFlight> in_flight;
  bool is_resting = false;  // paused after an answer, or waiting to connect again
  bool is_waiting = false;  // for the server: to be connected, or for an answer
  bool waits_for_room = false;
  std::uint64_t answers = 0;
  std::set<long> workers;
};

class LoadRun {
 public:
  LoadRun(const Load& load, std::atomic<std::uint64_t>* answers)
      : load_(load),
        live_answers_(answers),
        address_(parse_address(load.address)),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        connections_(load.connections) {
    for (const LoadRequest& request : load.paths) {
      std::string bytes = request.method + " " + request.path + " HTTP/1.1\r\nHost: localhost\r\n";
      if (!request.body.empty()) bytes += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
      requests_.push_back(bytes + "\r\n" + request.body);
    }
  }

  LoadReport run() {
    const auto began = began_ = last_answer_ = Clock::now();
    for (Connection& connection : connections_) open(connection);
    auto last_check = began;
    while (has_work()) {
      epoll_event events[64];
      const int n = epoll_wait(epoll_.get(), events, 64, wait_limit());
      for (int i = 0; i < n; ++i) on_event(connections_[events[i].data.u32], events[i].events);
      wake_rested();
      const auto now = Clock::now();
      if (load_.duration.count() > 0 && now - began > load_.duration) is_time_up_ = true;
      if (now - last_check > std::chrono::milliseconds(100)) {
        last_check = now;
        check_time_limits(now);
      }
    }
    for (Connection& connection : connections_) close(connection);
    report_.took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began);
    summarize();
    return std::move(report_);
  }

 private:
  bool has_to_stop() const { return gave_up_ || is_time_up_ || (load_.stop != nullptr && *load_.stop); }
  bool has_tickets() const { return !has_to_stop() && (!returned_.empty() || issued_ < load_.requests); }
  bool has_work() const { return in_flight_ > 0 || has_tickets(); }

  std::size_t take_ticket() {
    if (!returned_.empty()) {
      const std::size_t path = returned_.back();
      returned_.pop_back();
      return path;
    }
    return issued_++ % requests_.size();
  }

  int wait_limit() const {
    if (resting_.empty()) return 100;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(resting_.front().first - Clock::now()).count();
    return static_cast<int>(std::clamp<long>(left, 0, 100));
  }

  void fail(std::uint64_t& count, const std::string& words) {
    ++count;
    if (report_.examples.size() < 10) report_.examples.push_back(words);
  }

  void watch(Connection& connection, int operation, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.u32 = static_cast<std::uint32_t>(&connection - connections_.data());
    epoll_ctl(epoll_.get(), operation, connection.socket.get(), &event);
  }

  void open(Connection& connection) {
    if (!has_tickets()) return;
    connection.socket = make_socket(address_, SOCK_NONBLOCK);
    const int result =
        connect(connection.socket.get(), reinterpret_cast<const sockaddr*>(&address_.storage), address_.size);
    if (result != 0 && errno == EAGAIN) {  // a unix listener's queue is full: nothing is refused yet
      connection.socket.reset();
      rest(connection, std::chrono::milliseconds(1));
      return;
    }
    if (result != 0 && errno != EINPROGRESS) {
      refuse(connection, errno);
      return;
    }
    connection.state = Connection::State::connecting;
    connection.began_connecting = Clock::now();
    note_waiting(connection);
    watch(connection, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
  }

  void refuse(Connection& connection, int error) {
    fail(report_.refused, std::string("connect: ") + std::strerror(error));
    gave_up_ = gave_up_ || report_.refused >= failures_to_give_up;
    close(connection);
    rest(connection, std::chrono::milliseconds(10));
  }

  void close(Connection& connection) {
    connection.socket.reset();
    connection.state = Connection::State::closed;
    connection.out.clear();
    connection.in.clear();
    connection.read_up_to = 0;
    connection.waits_for_room = false;
    in_flight_ -= connection.in_flight.size();
    connection.in_flight.clear();
    note_waiting(connection);
    report_.most_answers_on_a_connection = std::max(report_.most_answers_on_a_connection, connection.answers);
    connection.answers = 0;
    report_.most_workers_on_a_connection =
        std::max<std::uint64_t>(report_.most_workers_on_a_connection, connection.workers.size());
    connection.workers.clear();
  }

  void reopen(Connection& connection) {
    close(connection);
    if (!connection.is_resting) open(connection);
  }

  // Whether any connection waits for the server, and since when one does without interruption.
  void note_waiting(Connection& connection) {
    const bool waits = connection.state == Connection::State::connecting || !connection.in_flight.empty();
    if (waits == connection.is_waiting) return;
    connection.is_waiting = waits;
    if (waits && waiting_++ == 0) waiting_since_ = Clock::now();
    if (!waits) --waiting_;
  }

  void rest(Connection& connection, std::chrono::milliseconds pause) {
    if (connection.is_resting) return;
    connection.is_resting = true;
    const auto due = Clock::now() + pause;
    const auto place = std::upper_bound(resting_.begin(), resting_.end(), due,
                                        [](auto time, const auto& entry) { return time < entry.first; });
    resting_.insert(place, {due, &connection});
  }

  void wake_rested() {
    const auto now = Clock::now();
    while (!resting_.empty() && resting_.front().first <= now) {
      Connection& connection = *resting_.front().second;
      resting_.pop_front();
      connection.is_resting = false;
      if (connection.state == Connection::State::closed) {
        open(connection);
      } else {
        send_requests(connection);
      }
    }
  }

  void on_event(Connection& connection, std::uint32_t events) {
    if (connection.state == Connection::State::closed) return;  // closed earlier in this round
    if (connection.state == Connection::State::connecting) {
      int error = 0;
      socklen_t size = sizeof error;
      getsockopt(connection.socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) return refuse(connection, error);
      connection.state = Connection::State::open;
      ++report_.connections_opened;
      watch(connection, EPOLL_CTL_MOD, EPOLLIN);
      send_requests(connection);
      return;
    }
    if ((events & EPOLLOUT) != 0) flush(connection);
    if (connection.state == Connection::State::open && (events & ~EPOLLOUT) != 0) receive(connection);
  }

  void send_requests(Connection& connection) {
    if (connection.state != Connection::State::open || connection.is_resting) return;
    if (connection.in_flight.size() >= load_.pipeline || !has_tickets()) return;
    const auto now = Clock::now();
    while (connection.in_flight.size() < load_.pipeline && has_tickets() && !has_answered_enough(connection, true)) {
      const std::size_t path = take_ticket();
      connection.out += requests_[path];
      connection.in_flight.push_back({path, now});
      ++in_flight_;
    }
    note_waiting(connection);
    flush(connection);
  }

  bool has_answered_enough(const Connection& connection, bool with_those_in_flight) const {
    return load_.answers_per_connection > 0 &&
           connection.answers + (with_those_in_flight ? connection.in_flight.size() : 0) >=
               load_.answers_per_connection;
  }

  void flush(Connection& connection) {
    while (!connection.out.empty()) {
      const ssize_t sent =
          send(connection.socket.get(), connection.out.data(), connection.out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0) {
        if (errno == EAGAIN) break;
        // What the server said before it closed may still be there to read; receive() meets the error or the end.
        connection.out.clear();
        break;
      }
      connection.out.erase(0, static_cast<std::size_t>(sent));
    }
    const bool waits = !connection.out.empty();
    if (waits != connection.waits_for_room) {
      connection.waits_for_room = waits;
      watch(connection, EPOLL_CTL_MOD, waits ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
  }

  void receive(Connection& connection) {
    const ssize_t size = recv(connection.socket.get(), buffer_, sizeof buffer_, MSG_DONTWAIT);
    if (size < 0) {
      if (errno == EAGAIN) return;
      const std::string words = std::string("recv: ") + std::strerror(errno) + place_of(connection);
      for (std::size_t i = 0; i < std::max<std::size_t>(1, connection.in_flight.size()); ++i) {
        fail(connection.answers > 0 ? report_.resets : report_.new_resets, words);
      }
      return reopen(connection);
    }
    connection.in.append(buffer_, static_cast<std::size_t>(size));
    if (!read_answers(connection, size == 0)) return;
    if (size == 0) return on_end(connection);
    send_requests(connection);
  }

  // False: the connection is another one now.
  bool read_answers(Connection& connection, bool has_ended) {
    ReadAnswer answer;
    while (!connection.in_flight.empty() && connection.read_up_to < connection.in.size()) {
      const std::string_view unread = std::string_view(connection.in).substr(connection.read_up_to);
      switch (read_answer(unread, has_ended, joined_, answer)) {
        case Reading::incomplete:
          connection.in.erase(0, connection.read_up_to);
          connection.read_up_to = 0;
          return true;
        case Reading::malformed:
          fail(report_.malformed, "malformed: " + std::string(unread.substr(0, 200)));
          reopen(connection);
          return false;
        case Reading::complete:
          break;
      }
      connection.read_up_to += answer.size;
      take(connection, answer);
      if (answer.announces_close) {
        ++report_.announced_closes;
        for (const InFlight& unanswered : connection.in_flight) returned_.push_back(unanswered.path);
        report_.resent += connection.in_flight.size();
        reopen(connection);
        return false;
      }
      if (has_answered_enough(connection, false)) {
        reopen(connection);
        return false;
      }
    }
    if (connection.in_flight.empty() && connection.read_up_to < connection.in.size()) {
      fail(report_.malformed, "bytes nobody asked for: " + connection.in.substr(connection.read_up_to, 200));
      reopen(connection);
      return false;
    }
    connection.in.clear();
    connection.read_up_to = 0;
    return true;
  }

  void take(Connection& connection, const ReadAnswer& answer) {
    const InFlight request = connection.in_flight.front();
    connection.in_flight.pop_front();
    --in_flight_;
    ++connection.answers;
    const auto now = Clock::now();
    report_.latencies.add(std::chrono::duration_cast<std::chrono::microseconds>(now - request.sent));
    if (const auto gap = now - std::max(last_answer_, waiting_since_); gap > longest_gap_) {
      longest_gap_ = gap;
      report_.longest_gap_at = std::chrono::duration_cast<std::chrono::microseconds>(now - began_);
    }
    last_answer_ = now;
    note_waiting(connection);
    ++report_.answers_by_status[answer.status];
    if (answer.worker_pid != 0) {
      ++report_.answers_by_worker[answer.worker_pid];
      connection.workers.insert(answer.worker_pid);
    }

    if (!answer.version.empty()) {
      auto& version = report_.answers_by_version[std::string(answer.version)];
      if (version.answers++ == 0) version.first_answer = now;
      version.last_request = std::max(version.last_request, request.sent);
    }

    const std::string& path = load_.paths[request.path].path;
    if (std::count(load_.tolerated_statuses.begin(), load_.tolerated_statuses.end(), answer.status) > 0) {
      ++report_.tolerated;
    } else if (answer.status != load_.expected_status) {
      fail(report_.wrong_status, path + ": " + std::string(answer.head) + std::string(answer.body.substr(0, 200)));
    } else if (const std::string problem =
                   load_.problem_of ? load_.problem_of({answer.status, request.path, path, answer.head, answer.body})
                                    : std::string();
               !problem.empty()) {
      fail(report_.wrong_body, path + ": " + problem);
    } else {
      ++report_.answers;
      if (live_answers_ != nullptr) live_answers_->store(report_.answers, std::memory_order_relaxed);
    }
    if (load_.pause.count() > 0) rest(connection, load_.pause);
  }

  void on_end(Connection& connection) {
    if (connection.in_flight.empty()) {
      ++report_.idle_closes;
    } else if (!connection.in.empty()) {
      fail(report_.truncated, "cut: " + connection.in.substr(0, 200));
    }
    const std::size_t unanswered = connection.in_flight.size() - (connection.in.empty() ? 0 : 1);
    for (std::size_t i = 0; !connection.in_flight.empty() && i < unanswered; ++i) {
      fail(report_.early_closes, "closed without an answer" + place_of(connection));
    }
    reopen(connection);
  }

  std::string place_of(const Connection& connection) const {
    return " after " + std::to_string(connection.answers) + " answers, " + std::to_string(connection.in_flight.size()) +
           " in flight";
  }

  void check_time_limits(Clock::time_point now) {
    for (Connection& connection : connections_) {
      if (connection.state == Connection::State::connecting && now - connection.began_connecting > load_.timeout) {
        refuse(connection, ETIMEDOUT);
      } else if (!connection.in_flight.empty() && now - connection.in_flight.front().sent > load_.timeout) {
        for (const InFlight& request : connection.in_flight)
          fail(report_.timeouts, "no answer: " + load_.paths[request.path].path + place_of(connection));
        reopen(connection);
      }
    }
  }

  void summarize() {
    report_.longest_gap = std::chrono::duration_cast<std::chrono::microseconds>(longest_gap_);
    report_.p50 = report_.latencies.at(0.5);
    report_.p99 = report_.latencies.at(0.99);
    report_.p999 = report_.latencies.at(0.999);
    report_.slowest = report_.latencies.at(1);
  }

  const Load& load_;
  std::atomic<std::uint64_t>* live_answers_;
  SocketAddress address_;
  UniqueFd epoll_;
  std::vector<Connection> connections_;
  std::vector<std::string> requests_;
  std::vector<std::size_t> returned_;  // tickets to be used again
  std::uint64_t issued_ = 0;
  std::size_t in_flight_ = 0;
  bool gave_up_ = false;
  bool is_time_up_ = false;
  std::deque<std::pair<Clock::time_point, Connection*>> resting_;  // by time
  std::size_t waiting_ = 0;                                        // connections that do
  Clock::time_point began_, last_answer_, waiting_since_;
  Clock::duration longest_gap_{};
  std::string joined_;
  char buffer_[65536];
  LoadReport report_;
};

}  // namespace

std::uint64_t LoadReport::failures() const {
  return refused + resets + new_resets + early_closes + truncated + malformed + wrong_status + wrong_body + timeouts;
}

std::string LoadReport::text() const {
  std::ostringstream out;
  const double seconds = static_cast<double>(took.count()) / 1e6;
  out << answers << " answers in " << seconds << " s (" << static_cast<std::uint64_t>(answers / std::max(seconds, 1e-6))
      << "/s), failures " << failures() << " (refused " << refused << ", resets " << resets << " and " << new_resets
      << " new, early closes " << early_closes << ", truncated " << truncated << ", malformed " << malformed
      << ", wrong status " << wrong_status << ", wrong body " << wrong_body << ", timeouts " << timeouts
      << "), idle closes " << idle_closes << ", announced closes " << announced_closes << ", resent " << resent
      << ", tolerated " << tolerated << ", connections " << connections_opened << ", workers "
      << answers_by_worker.size() << " (" << most_workers_on_a_connection << " on one connection), p50 " << p50.count()
      << " us, p99 " << p99.count() << " us, p99.9 " << p999.count() << " us, slowest " << slowest.count()
      << " us, longest gap " << longest_gap.count() << " us (at " << longest_gap_at.count() / 1000 << " ms)";
  for (const std::string& example : examples) out << "\n  " << example;
  return out.str();
}

LoadReport run_load(const Load& load) { return LoadRun(load, nullptr).run(); }

BackgroundLoad::BackgroundLoad(Load load) {
  load.stop = &has_to_stop_;
  report_ = std::async(std::launch::async, [this, load = std::move(load)] { return LoadRun(load, &answers_).run(); });
}

BackgroundLoad::~BackgroundLoad() { has_to_stop_ = true; }  // the future's destructor waits

LoadReport BackgroundLoad::stop() {
  has_to_stop_ = true;
  return report_.get();
}

LoadReport BackgroundLoad::wait() { return report_.get(); }

}  // namespace stint::test
