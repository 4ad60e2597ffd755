#include "server/worker/keeper.h"

#include "server/control/inbox.h"
#include "server/http/method.h"
#include "server/net/byte_counts.h"
#include "server/net/reset.h"
#include "stint/unique_fd.h"

#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <optional>
#include <string_view>

namespace stint::worker {

namespace {

using control::ConnectionSlot;
using control::SlotState;
using control::Verdict;

// A full inbox is waited for so long in all: workers that take connections need microseconds for each.
constexpr int inbox_wait_most_ms = 1000;

class Relief {
 public:
  explicit Relief(const KeeperInheritance& inheritance)
      : inheritance_(inheritance), verdict_(inheritance.table.header().verdict.load(std::memory_order_acquire)) {}

  void run() {
    for (std::size_t i = 0; i < inheritance_.table.used(); ++i) relieve(inheritance_.table.slot(i));
    put_idle();
  }

 private:
  // Nothing is written to the table: the supervisor reads the same slots for its report of the death.
  void relieve(const ConnectionSlot& slot) {
    switch (slot.state.load(std::memory_order_acquire)) {
      case SlotState::free:
        return;
      case SlotState::idle:
        relieve_idle(slot);
        break;
      case SlotState::unstarted:
        is_intact(slot) && !has_lost_bytes(slot) && put(slot, slot.attempts) ? close(slot)
                                                                             : answer(slot, Verdict::died);
        break;
      case SlotState::calling:
        interrupted(slot);
        break;
      case SlotState::answering:
        relieve_answering(slot);
        break;
      case SlotState::closing:
        close(slot);
        break;
    }
  }

  // An idle connection's next bytes are read into its slot; the kernel knows whether, and how many.
  void relieve_idle(const ConnectionSlot& slot) {
    if (!has_lost_bytes(slot)) return put_idle_later(slot);
    const std::optional<std::uint64_t> read = net::read_bytes(slot.socket);
    control::HandoverHeader header;
    header.peer = slot.peer;
    // Not whole: it died while it wrote the request down in its place.
    if (!read || slot.is_whole == 0 || *read - slot.read_before >= ConnectionSlot::capacity)
      return answer(slot, Verdict::died);
    header.length = static_cast<std::uint32_t>(*read - slot.read_before);
    const bool is_put = put_patiently(header, {slot.bytes.data(), header.length}, {&slot.socket, 1});
    is_put ? close(slot) : answer(slot, Verdict::died);
  }

  void interrupted(const ConnectionSlot& slot) {
    may_retry(slot) && put(slot, slot.attempts + 1) ? close(slot) : answer(slot, verdict_);
  }

  // The worker died between "I begin to answer" and "I have answered": the kernel knows how much of the answer it was
  // given.
  void relieve_answering(const ConnectionSlot& slot) {
    const std::optional<std::uint64_t> written = net::written_bytes(slot.socket);
    if (!written) return cut(slot);
    if (*written == slot.written_before) return interrupted(slot);
    const bool is_complete = slot.answer_length > 0 && *written == slot.written_before + slot.answer_length;
    if (!is_complete) return cut(slot);
    if (slot.keeps_alive == 0) return end(slot);
    if (slot.length == slot.head_length && slot.length < ConnectionSlot::capacity) {
      put_idle_later(slot);
    } else {
      put_rest(slot) ? close(slot) : end(slot);
    }
  }

  static bool is_intact(const ConnectionSlot& slot) {
    return slot.is_whole != 0 && slot.length <= ConnectionSlot::capacity && slot.head_length <= slot.length;
  }

  // The worker died around recv(2): over TCP the kernel knows whether it took anything.
  static bool has_lost_bytes(const ConnectionSlot& slot) {
    return slot.is_reading != 0 && net::read_bytes(slot.socket) != slot.read_before;
  }

  bool may_retry(const ConnectionSlot& slot) const {
    if (!inheritance_.retries_interrupted || verdict_ != Verdict::died || slot.attempts > 0) return false;
    return is_intact(slot) &&
           http::is_safe_method(control::request_line_of({slot.bytes.data(), slot.head_length}).method);
  }

  // Together with others, unless there is more to tell about it than a socket tells.
  void put_idle_later(const ConnectionSlot& slot) {
    if (slot.peer.header != control::PeerRecord::Header::none) {
      control::HandoverHeader header;
      header.peer = slot.peer;
      put_patiently(header, {}, {&slot.socket, 1});
      ::close(slot.socket);
      return;
    }
    idle_[idle_count_++] = slot.socket;
    if (idle_count_ == idle_.size()) put_idle();
  }

  // The request is answered; what was read behind it is the beginning of the next.
  bool put_rest(const ConnectionSlot& slot) {
    if (!is_intact(slot)) return false;
    control::HandoverHeader header;
    header.peer = slot.peer;
    header.length = slot.length - slot.head_length;
    return put_patiently(header, {slot.bytes.data() + slot.head_length, header.length}, {&slot.socket, 1});
  }

  bool put(const ConnectionSlot& slot, std::uint32_t attempts) {
    control::HandoverHeader header;
    header.peer = slot.peer;
    header.attempts = attempts;
    header.head_length = slot.head_length;
    header.length = slot.length;
    header.has_body = slot.has_body;
    header.has_body_file = slot.body_file >= 0 ? 1 : 0;
    header.progress = slot.progress;
    const std::array<int, 2> descriptors{slot.socket, slot.body_file};
    return put_patiently(header, {slot.bytes.data(), slot.length}, {descriptors.data(), slot.body_file >= 0 ? 2U : 1U});
  }

  void put_idle() {
    if (idle_count_ == 0) return;
    put_patiently({}, {}, {idle_.data(), idle_count_});  // where it fails nothing is owed: they are closed
    for (std::size_t i = 0; i < idle_count_; ++i) ::close(idle_[i]);
    idle_count_ = 0;
  }

  bool put_patiently(const control::HandoverHeader& header, std::string_view bytes, std::span<const int> descriptors) {
    for (;;) {
      const int error = control::put_into_inbox(inheritance_.inbox_put, header, bytes, descriptors);
      if (error == 0) return true;
      if (error == EINTR) continue;
      if ((error != EAGAIN && error != ETOOMANYREFS) || waited_ms_ >= inbox_wait_most_ms) return false;
      pollfd room{inheritance_.inbox_put, POLLOUT, 0};
      // ETOOMANYREFS does not show in POLLOUT.
      if (error == ETOOMANYREFS)
        ::poll(nullptr, 0, 5);
      else
        ::poll(&room, 1, 5);
      waited_ms_ += 5;
    }
  }

  static void answer(const ConnectionSlot& slot, Verdict verdict) {
    std::string_view text;
    switch (verdict) {
      case Verdict::died:
        text =
            "HTTP/1.1 502 Bad Gateway\r\nServer: stint\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Content-Length: 16\r\nConnection: close\r\n\r\n502 Bad Gateway\n";
        break;
      case Verdict::memory:
        text =
            "HTTP/1.1 503 Service Unavailable\r\nServer: stint\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Content-Length: 24\r\nConnection: close\r\n\r\n503 Service Unavailable\n";
        break;
      case Verdict::timed_out:
        text =
            "HTTP/1.1 504 Gateway Timeout\r\nServer: stint\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Content-Length: 20\r\nConnection: close\r\n\r\n504 Gateway Timeout\n";
        break;
    }
    if (control::request_line_of({slot.bytes.data(), slot.head_length}).method == "HEAD") {
      text = text.substr(0, text.find("\r\n\r\n") + 4);
    }
    ::send(slot.socket, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    end(slot);
  }

  // Our side ends first; what the client has sent and nobody read would otherwise turn the close into a reset that may
  // overtake the answer.
  static void end(const ConnectionSlot& slot) {
    ::shutdown(slot.socket, SHUT_WR);
    std::array<char, 4096> unread;
    for (int i = 0; i < 64 && ::recv(slot.socket, unread.data(), unread.size(), MSG_DONTWAIT) > 0; ++i) {
    }
    close(slot);
  }

  // An answer whose end is the connection's end would look complete: only a reset shows that it is not.
  static void cut(const ConnectionSlot& slot) {
    if (slot.ends_with_connection != 0) {
      net::reset_on_close(slot.socket);
      return close(slot);
    }
    end(slot);
  }

  static void close(const ConnectionSlot& slot) {
    ::close(slot.socket);
    if (slot.body_file >= 0) ::close(slot.body_file);
  }

  const KeeperInheritance& inheritance_;
  const Verdict verdict_;
  std::array<int, control::most_idle_in_packet> idle_{};
  std::size_t idle_count_ = 0;
  int waited_ms_ = 0;
};

[[noreturn]] void keep(const KeeperInheritance& inheritance, int worker) {
  // Only KILL ends a keeper; a signal to the worker's process group is not meant for it.
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
  pollfd death{worker, POLLIN, 0};
  while (::poll(&death, 1, -1) < 1) {
  }
  relieve_dead_worker(inheritance);
  ::syscall(SYS_exit_group, 0);
  __builtin_unreachable();
}

}  // namespace

void relieve_dead_worker(const KeeperInheritance& inheritance) { Relief(inheritance).run(); }

Result<UniqueFd> start_keeper(const KeeperInheritance& inheritance) {
  UniqueFd worker(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!worker.is_open()) return system_error("pidfd_open of the worker");
  const long pid = ::syscall(SYS_clone, CLONE_FILES | CLONE_PARENT | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (pid < 0) return system_error("clone a keeper that shares the descriptor table");
  if (pid == 0) keep(inheritance, worker.release());
  inheritance.table.header().keeper.store(static_cast<pid_t>(pid), std::memory_order_release);
  return worker;
}

}  // namespace stint::worker
