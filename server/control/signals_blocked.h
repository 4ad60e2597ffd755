// When signals wait, for the thread that says so; a process's or a child's only one, or one that starts others.
#pragma once

#include <csignal>

namespace stint::control {

// All signals wait while this lives, in this thread and for ever in those that it starts meanwhile. A child keeps the
// mask too: none reaches our handlers in one that has not yet become a worker, which the supervisor would take for its
// own.
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

}  // namespace stint::control
