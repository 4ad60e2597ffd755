// When signals wait. All functions are for a process or a child with one thread.
#pragma once

#include <csignal>

namespace stint::supervisor {

// All signals wait while this lives, so that none reaches our handlers in a child that has not yet become a worker:
// the supervisor would take it for its own.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// From here on signals wait, through exec too, until hear_signals(): between two programs in one process there is
// nobody to obey them, and by default they end it.
inline void hold_signals() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

inline void hear_signals() {
  sigset_t none;
  ::sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

// In a child before exec, which keeps what is ignored and what is blocked; whoever started us may have left either.
inline void reset_signals() {
  struct sigaction by_default{};
  by_default.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &by_default, nullptr);  // KILL, STOP: refused
  hear_signals();
}

}  // namespace stint::supervisor
