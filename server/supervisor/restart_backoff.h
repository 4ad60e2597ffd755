// How long a slot waits before its next worker starts, after one has died unasked or could not be started. Pure.
#pragma once

#include "stint/settings.h"

namespace stint::supervisor {

struct Restart {
  unsigned failures = 0;  // in a row, this one included; given back in at the slot's next failure
  Duration delay{};
};

// 0.1 s, doubling to 30 s. A worker that had been ready for 10 s ends the row. `ready_for` is zero for one that never
// was: a slow import that fails is a failure however long it took.
Restart restart_after(unsigned failures_before, Duration ready_for);

}  // namespace stint::supervisor
