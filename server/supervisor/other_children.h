// Our children that are no workers: the workers' keepers, and, for the first process of a container, what processes
// leave behind whose parent has gone. Nobody waits for them with a descriptor; they are reaped by and by.
#pragma once

#include "server/supervisor/worker_handle.h"

#include <sys/types.h>

#include <functional>
#include <vector>

namespace stint::supervisor {

struct EndedChild {
  pid_t pid = 0;
  ExitStatus exit;
};

// Reaps those that have ended. A worker's end is its handle's to reap: where one waits for that, the children behind it
// in the kernel's list are left for the next call.
std::vector<EndedChild> reap_other_children(const std::function<bool(pid_t)>& is_worker);

}  // namespace stint::supervisor
