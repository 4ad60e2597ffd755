#include "server/worker/signals.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>

namespace stint::worker {

namespace {
int signal_event = -1;  // a handler can reach nothing but a global; written once, before the handlers are set

void on_signal(int) {
  const int saved = errno;
  const std::uint64_t one = 1;
  static_cast<void>(!::write(signal_event, &one, sizeof one));  // fails only when it is readable anyway
  errno = saved;
}
}  // namespace

Result<int> catch_signals() {
  signal_event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (signal_event < 0) return system_error("eventfd");
  struct sigaction action{};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (const int number : {SIGTERM, SIGINT}) {
    if (::sigaction(number, &action, nullptr) < 0) return system_error("sigaction");
  }
  action.sa_handler = SIG_IGN;
  for (const int number : {SIGPIPE, SIGXFSZ}) {
    if (::sigaction(number, &action, nullptr) < 0) return system_error("sigaction");
  }
  return signal_event;
}

void forget_signals() {
  struct sigaction action{};
  action.sa_handler = SIG_DFL;
  for (const int number : {SIGTERM, SIGINT}) ::sigaction(number, &action, nullptr);
  ::close(signal_event);
}

}  // namespace stint::worker
