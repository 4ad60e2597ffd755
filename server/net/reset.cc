#include "server/net/reset.h"

#include <sys/socket.h>

namespace stint::net {

void reset_on_close(int socket) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  static_cast<void>(::setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));  // else it ends orderly
}

}  // namespace stint::net
