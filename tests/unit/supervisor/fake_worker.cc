// Speaks a worker's part of the channel and does what FAKE_WORKER_DOES says: "serve", "fail", "crash" or "hang" at its
// start; "serve, then MARKER" serves while the file MARKER is missing and fails once it is there; "keep FILE" serves
// one request for ever, and has a keeper that writes the verdict into FILE when the worker is dead.
#include "server/control/channel.h"
#include "server/control/connection_table.h"
#include "server/control/inheritance.h"
#include "server/control/status_page.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

using namespace stint;
using namespace stint::control;

namespace {

// Nothing blocked or ignored. (Handlers do not survive exec; those there are a sanitizer's.)
bool has_clean_signals() {
  sigset_t blocked;
  if (::sigprocmask(SIG_SETMASK, nullptr, &blocked) != 0) return false;
  for (int number = 1; number < 32; ++number) {
    struct sigaction action{};
    if (::sigismember(&blocked, number) == 1) return false;
    if (::sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) return false;
  }
  return true;
}

// Standard descriptors, the inherited ones, and nothing else.
bool has_only(int descriptors) {
  for (int fd = 0; fd < 256; ++fd)
    if ((::fcntl(fd, F_GETFD) >= 0) != (fd < descriptors)) return false;
  return true;
}

// As a worker does it: the supervisor's child, with our descriptors. Like the real one it makes system calls only.
void start_keeper(const ConnectionTableView& table, const char* file) {
  const int worker = static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0));
  const long pid = ::syscall(SYS_clone, CLONE_FILES | CLONE_PARENT | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (pid == 0) {
    pollfd end{.fd = worker, .events = POLLIN, .revents = 0};
    ::poll(&end, 1, -1);
    const auto verdict = static_cast<char>(static_cast<unsigned>(table.header().verdict.load()) - 500 + '0');
    const int out = ::open(file, O_WRONLY | O_CREAT | O_APPEND, 0600);
    const bool is_written = ::write(out, &verdict, 1) == 1;
    ::syscall(SYS_exit_group, is_written ? 0 : 1);
  }
  table.header().keeper = static_cast<pid_t>(pid);
}

void begin_request(ConnectionSlot& slot) {
  const std::string_view head = "GET /slow?x=1 HTTP/1.1\r\n\r\n";
  std::copy(head.begin(), head.end(), slot.bytes.begin());
  slot.head_length = slot.length = static_cast<std::uint32_t>(head.size());
  slot.socket = 100;
  slot.attempts = 1;
  slot.request_id = {'r', 'e', 'q', '-', '1'};
  slot.began = std::chrono::steady_clock::now().time_since_epoch().count();
  slot.state = SlotState::calling;
}

}  // namespace

int main(int count, char** arguments) {
  auto inheritance = take_inheritance(std::vector<std::string>(arguments + 1, arguments + count));
  if (!inheritance) return 2;
  auto page = StatusPage::map(inheritance->status_page.get());
  if (!page) return 2;
  const auto table = ConnectionTableView::map(inheritance->connection_table.get());
  if (!table || table->size() != 64) return 2;
  const int descriptors = first_listener_fd + static_cast<int>(inheritance->listeners.size());
  const bool is_clean =
      has_clean_signals() && has_only(descriptors) && ::getpgrp() == ::getpid() && std::string(arguments[0]) == "stint";
  Channel channel(std::move(inheritance->channel));

  const char* does = std::getenv("FAKE_WORKER_DOES");
  std::string behaviour = does == nullptr ? "" : does;
  if (behaviour.starts_with("serve, then ")) behaviour = ::access(behaviour.c_str() + 12, F_OK) == 0 ? "fail" : "serve";
  if (!is_clean) return 4;
  if (behaviour == "crash") std::abort();
  if (behaviour == "hang") ::pause();
  if (behaviour == "fail") {
    if (!channel.send(StartFailed{{"import", "ImportError: no", "Traceback: somewhere"}})) return 2;
    return 1;
  }

  char settings[64] = "";
  const ssize_t size = ::read(inheritance->settings.get(), settings, sizeof settings);
  if (behaviour.starts_with("keep ")) {
    start_keeper(*table, behaviour.c_str() + 5);
    begin_request(table->slot(0));
    page->set_calls(1, std::chrono::steady_clock::now());
  }
  if (!channel.send(Warming{})) return 2;
  if (!channel.send(Ready{{}, std::string(settings, size < 0 ? 0 : static_cast<std::size_t>(size))})) return 2;
  while (true) {
    pollfd readable{.fd = channel.fd(), .events = POLLIN, .revents = 0};
    ::poll(&readable, 1, -1);
    const auto message = channel.receive();
    if (!message) return 3;
    if (!*message) continue;
    if (std::holds_alternative<Retire>(**message)) return 0;
    if (std::holds_alternative<Serve>(**message) && behaviour.starts_with("answer ")) {
      for (int i = 0; i < 100; ++i) page->count_request();
      if (behaviour == "answer with errors") page->count_server_error();
    }
  }
}
