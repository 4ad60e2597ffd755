// Speaks a worker's part of the channel and does what FAKE_WORKER_DOES says: "serve", "fail", "crash" or "hang" at its
// start; "serve, then MARKER" serves while the file MARKER is missing and fails once it is there.
#include "server/control/channel.h"
#include "server/control/inheritance.h"
#include "server/control/status_page.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

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

}  // namespace

int main(int count, char** arguments) {
  auto inheritance = take_inheritance(std::vector<std::string>(arguments + 1, arguments + count));
  if (!inheritance) return 2;
  const auto page = StatusPage::map(inheritance->status_page.get());
  if (!page) return 2;
  const int descriptors = 6 + static_cast<int>(inheritance->listeners.size());
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
  if (!channel.send(Warming{})) return 2;
  if (!channel.send(Ready{{}, std::string(settings, size < 0 ? 0 : static_cast<std::size_t>(size))})) return 2;
  while (true) {
    pollfd readable{.fd = channel.fd(), .events = POLLIN, .revents = 0};
    ::poll(&readable, 1, -1);
    const auto message = channel.receive();
    if (!message) return 3;
    if (*message && std::holds_alternative<Retire>(**message)) return 0;
  }
}
