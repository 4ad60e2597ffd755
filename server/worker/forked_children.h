// What a child that the application forks (os.fork, multiprocessing) has no business with: copies of the worker's
// sockets. They would keep a client waiting for an end that the worker has sent, and the listeners' ports in use after
// the server has gone. Programs that are exec'd lose them anyway (close-on-exec).
#pragma once

#include <cstddef>
#include <vector>

namespace stint::worker {

// Of one worker at a time: from here on each forked child closes `descriptors`, and the sockets of connections that are
// told of, before it returns from fork(2). `connections`: at most.
void close_in_forked_children(const std::vector<int>& descriptors, std::size_t connections);
void forget_forked_children();  // there is no worker in this process any more

// When it has the socket / before it closes it. `slot` < `connections`. Nothing happens before the call above.
void connection_opened(std::size_t slot, int socket);
void connection_closes(std::size_t slot);

}  // namespace stint::worker
