// A connection that has to end visibly cut.
#pragma once

namespace stint::net {

// The next close(2) of the last copy of this socket is a reset instead of an orderly end; what the kernel has for the
// peer goes with it. A unix socket ends orderly all the same. Only a system call: the keeper uses it.
void reset_on_close(int socket);

}  // namespace stint::net
