// What a child that the application forks (os.fork, multiprocessing) has no business with: copies of the worker's
// sockets. They would keep a client waiting for an end that the worker has sent, and the listeners' ports in use after
// the server has gone. Programs that are exec'd lose them anyway (close-on-exec).
#pragma once

#include "server/control/connection_table.h"

#include <vector>

namespace stint::worker {

// Of one worker at a time: from here on each forked child closes `descriptors` and the sockets of all connections
// before it returns from fork(2). `table` outlives the process's forking.
void close_in_forked_children(const control::ConnectionTableView& table, const std::vector<int>& descriptors);
void forget_forked_children();  // there is no worker in this process any more

}  // namespace stint::worker
