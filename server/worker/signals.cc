#include "server/worker/signals.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <initializer_list>

namespace stint::worker {

namespace {
// A handler can reach nothing but globals; written before the handlers are set, or while signals are blocked.
int signal_event = -1;
pid_t own_process = -1;

// A child that the application forks has the handlers too, and our descriptor. There the signal ends it, as it would
// end any other: multiprocessing's terminate() relies on that. An atfork handler would come too late for a signal that
// is sent at once.
void on_signal(int number) {
  const int saved = errno;
  if (::getpid() != own_process) {
    std::signal(number, SIG_DFL);
    ::kill(::getpid(), number);  // it waits for the end of this handler
    return;
  }
  if (number != SIGTERM && number != SIGINT) return;
  const std::uint64_t one = 1;
  static_cast<void>(!::write(signal_event, &one, sizeof one));  // fails only when it is readable anyway
  errno = saved;
}

// Not where the application has a handler of its own.
Result<void> handle(std::initializer_list<int> numbers, void (*handler)(int)) {
  struct sigaction action{};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  for (const int number : numbers) {
    struct sigaction before{};
    if (::sigaction(number, nullptr, &before) < 0) return system_error("sigaction");
    const bool is_taken =
        before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN && before.sa_handler != on_signal;
    if (!is_taken && ::sigaction(number, &action, nullptr) < 0) return system_error("sigaction");
  }
  return {};
}

}  // namespace

Result<int> catch_signals() {
  signal_event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (signal_event < 0) return system_error("eventfd");
  if (auto passed_over = pass_over_signals(); !passed_over.has_value()) return passed_over.error();
  if (auto set = handle({SIGTERM, SIGINT}, on_signal); !set.has_value()) return set.error();
  if (auto set = handle({SIGPIPE, SIGXFSZ}, SIG_IGN); !set.has_value()) return set.error();
  return signal_event;
}

Result<void> pass_over_signals() {
  claim_signals();
  return handle({SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU}, on_signal);
}

void claim_signals() { own_process = ::getpid(); }

void forget_signals() {
  static_cast<void>(handle({SIGTERM, SIGINT}, SIG_DFL));  // fails for other numbers only
  ::close(signal_event);
}

}  // namespace stint::worker
