// Signals to a worker, as readiness of a descriptor. The supervisor talks through the channel, so signals are rare: an
// operator's `kill PID` (TERM) asks for a replacement. Handlers, not a signal mask: a mask would be inherited by every
// program that the application starts, a handler is not (execve(2)).
#pragma once

#include "stint/result.h"

namespace stint::worker {

// Once a process: TERM and INT make `signal_fd` readable, PIPE is ignored as in any Python program. Returns an eventfd.
// Children that the application forks are ended by TERM and INT, unless they have handlers of their own.
Result<int> catch_signals();
// The process goes on as something else: TERM and INT end it.
void forget_signals();

}  // namespace stint::worker
