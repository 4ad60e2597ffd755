// How many descriptors the supervisor may have open. It holds some for each worker, and twice as many during a reload;
// the soft limit that processes usually start with (1024) would end that at some hundred workers. Workers start with
// the limit that we were started with: some libraries count on it (select(2)).
#pragma once

namespace stint::supervisor {

// Once, before there are workers: up to the hard limit, or to what the largest pool needs.
void raise_descriptor_limit();
// In a child before exec, and before another program goes on in this process: what it was. 0 or an errno; only system
// calls.
int restore_descriptor_limit();

}  // namespace stint::supervisor
