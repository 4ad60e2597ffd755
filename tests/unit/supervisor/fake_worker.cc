// Speaks a worker's part of the channel and does what FAKE_WORKER_DOES says: "serve", "fail", "crash" or "hang" at its
// start; "serve, then MARKER" serves while the file MARKER is missing and fails once it is there; "keep FILE" serves
// one request for ever, and has a keeper that writes the verdict into FILE when the worker is dead.
//
// As a zygote it does what FAKE_ZYGOTE_DOES says: "fork", or one of these while the file MARKER is there: "fail MARKER"
// and "hang MARKER" at its start; "refuse MARKER" to fork; "die MARKER" of an order to fork; "swallow MARKER" the
// order, so that nobody is forked; "mute MARKER": the forked process does not say that it is there.
#include "server/control/channel.h"
#include "server/control/connection_table.h"
#include "server/control/inheritance.h"
#include "server/control/status_page.h"
#include "server/control/zygote_inheritance.h"
#include "server/zygote/orphan.h"

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

void wait_for_packet(const Channel& channel) {
  pollfd readable{.fd = channel.fd(), .events = POLLIN, .revents = 0};
  ::poll(&readable, 1, -1);
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

int serve(WorkerInheritance inheritance, const std::string& python) {
  auto page = StatusPage::map(inheritance.status_page.get());
  if (!page) return 2;
  const auto table = ConnectionTableView::map(inheritance.connection_table.get());
  if (!table || table->size() != 64) return 2;
  Channel channel(std::move(inheritance.channel));

  const char* does = std::getenv("FAKE_WORKER_DOES");
  std::string behaviour = does == nullptr ? "" : does;
  if (behaviour.starts_with("serve, then ")) behaviour = ::access(behaviour.c_str() + 12, F_OK) == 0 ? "fail" : "serve";
  if (behaviour == "crash") std::abort();
  if (behaviour == "hang") ::pause();
  if (behaviour == "fail") {
    if (!channel.send(StartFailed{{"import", "ImportError: no", "Traceback: somewhere"}})) return 2;
    return 1;
  }

  if (behaviour.starts_with("keep ")) {
    start_keeper(*table, behaviour.c_str() + 5);
    begin_request(table->slot(0));
    page->set_calls(1, std::chrono::steady_clock::now());
  }
  if (!channel.send(Warming{})) return 2;
  if (!channel.send(Ready{{}, python})) return 2;
  while (true) {
    wait_for_packet(channel);
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

// What FAKE_ZYGOTE_DOES says now.
bool zygote_does(const std::string& what) {
  const char* text = std::getenv("FAKE_ZYGOTE_DOES");
  const std::string does = text == nullptr ? "" : text;
  return does.starts_with(what + " ") && ::access(does.c_str() + what.size() + 1, F_OK) == 0;
}

// In a worker that has been forked.
int begin_worker(WorkerInheritance inheritance) {
  if (zygote_does("mute")) ::pause();  // as a child that hangs in a handler of pthread_atfork(3)
  ::setpgid(0, 0);
  Channel channel(std::move(inheritance.channel));
  if (!channel.send(Forked{})) return 2;
  inheritance.channel = channel.release();
  return serve(std::move(inheritance), "forked");
}

int be_zygote(ZygoteInheritance zygote) {
  Channel channel(std::move(zygote.channel));
  if (zygote_does("hang")) ::pause();
  if (zygote_does("fail")) {
    if (!channel.send(StartFailed{{"import", "ImportError: no", "Traceback: somewhere"}})) return 2;
    return 1;
  }
  if (!channel.send(Ready{{}, "zygote"})) return 2;
  std::vector<UniqueFd> swallowed;
  while (true) {
    std::vector<UniqueFd> descriptors;
    const auto message = channel.receive(descriptors);
    if (!message) return 0;
    if (!*message) {
      wait_for_packet(channel);
      continue;
    }
    const auto* order = std::get_if<Fork>(&**message);
    if (order == nullptr) return 2;
    if (zygote_does("die")) return 5;
    if (zygote_does("swallow")) {
      for (UniqueFd& descriptor : descriptors) swallowed.push_back(std::move(descriptor));
      continue;
    }
    auto inheritance = inheritance_of(*order, zygote, descriptors);
    if (!inheritance) return 2;
    if (zygote_does("refuse")) {
      Channel of_worker(std::move(inheritance->channel));
      if (!of_worker.send(StartFailed{{"fork", "Resource temporarily unavailable", {}}})) return 2;
      continue;
    }
    const pid_t forked = zygote::fork_orphan();
    if (forked < 0) return 2;
    if (forked > 0) continue;
    static_cast<void>(channel.release());
    return begin_worker(std::move(*inheritance));
  }
}

}  // namespace

int main(int count, char** arguments) {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  const bool is_zygote = !words.empty() && words[0] == "zygote";
  auto zygote = is_zygote ? take_zygote_inheritance(words) : Result<ZygoteInheritance>(error_because("a worker"));
  auto inheritance = is_zygote ? Result<WorkerInheritance>(error_because("a zygote")) : take_inheritance(words);
  if (!zygote && !inheritance) return 2;
  const int descriptors = zygote ? first_inherited_fd + zygote_descriptors
                                 : first_listener_fd + static_cast<int>(inheritance->listeners.size());
  const bool is_clean =
      has_clean_signals() && has_only(descriptors) && ::getpgrp() == ::getpid() && std::string(arguments[0]) == "stint";
  if (!is_clean) return 4;
  if (zygote) return be_zygote(std::move(*zygote));
  char settings[64] = "";
  const ssize_t size = ::read(inheritance->settings.get(), settings, sizeof settings);
  return serve(std::move(*inheritance), std::string(settings, size < 0 ? 0 : static_cast<std::size_t>(size)));
}
