// The keeper: a tiny process beside each worker that shares its descriptor table, and so holds the client sockets when
// the worker is dead, whatever it died of. It sleeps until then. Then it puts idle and unstarted connections into the
// pool's inbox, has a safe request that was interrupted served once more, answers the others, leaves half-sent answers
// visibly cut, and ends.
//
// It is cloned before the worker has threads or Python: after the clone it makes system calls and writes to its stack,
// nothing that allocates, locks or raises (the clone bypasses glibc, whose cached thread id is the worker's). It is the
// supervisor's child (CLONE_PARENT), so its end is reaped there.
#pragma once

#include "server/control/connection_table.h"
#include "stint/result.h"

namespace stint::worker {

struct KeeperInheritance {
  const control::ConnectionTableView& table;
  int inbox_put = -1;
  bool retries_interrupted = true;
};

// Returns in the worker; its pid is in the table's header. What it returns is the descriptor by which the keeper sees
// the worker's end: in the table that both share, so that it has to stay open for as long as the keeper is wanted.
// Error: the clone was refused (seccomp): the worker can go on without. REQUIRES: the process has one thread.
Result<UniqueFd> start_keeper(const KeeperInheritance& inheritance);

// What the keeper does once its worker is dead; apart from start_keeper() for tests. Descriptors of slots are closed.
void relieve_dead_worker(const KeeperInheritance& inheritance);

}  // namespace stint::worker
