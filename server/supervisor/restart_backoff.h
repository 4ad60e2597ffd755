// How long a slot waits before its next worker starts, after one has died unasked or could not be started. Pure.
#pragma once

#include "stint/settings.h"

namespace stint::supervisor {

struct Restart {
  unsigned failures = 0;  // in a row, this one included; given back in at the slot's next failure
  Duration delay{};
};

// Ready for longer it has served, though nobody may have asked for anything.
inline constexpr Duration long_service{10'000};

// 0.1 s, doubling to 30 s, while workers die without having served: a module that does not import, a crash right after.
// A worker that has answered a request was no failure to start: the next one starts at once, however often this
// happens, because requests wait (a soak that kills a worker every 300 ms was left without workers for 29 s otherwise).
Restart restart_after(unsigned failures_before, bool has_served);

}  // namespace stint::supervisor
