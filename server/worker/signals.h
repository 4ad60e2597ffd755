// Signals to a worker, as readiness of a descriptor. The supervisor talks through the channel, so signals are rare: an
// operator's `kill PID` (TERM) asks for a replacement. Handlers, not a signal mask: a mask would be inherited by every
// program that the application starts, a handler is not (execve(2)). What is meant for the supervisor, and sent to all
// of its processes (`systemctl kill -s USR1`), does nothing here.
#pragma once

#include "stint/result.h"

namespace stint::worker {

// Once a process: TERM and INT make the eventfd readable that is returned, PIPE is ignored as in any Python program,
// the supervisor's own are passed over. Handlers that the application has set by then (in the zygote) stay. Children
// that the application forks are ended by all of them, as any other, unless they have handlers of their own.
Result<int> catch_signals();
// Of a process that has no orders to read: only the supervisor's own are passed over. Others keep what they do.
Result<void> pass_over_signals();
// In a fork that is a worker itself, no child of one: its handlers hold for it from here on.
void claim_signals();
// The process goes on as something else: TERM and INT end it.
void forget_signals();

}  // namespace stint::worker
