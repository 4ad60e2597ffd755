// Listening sockets. Opened by the supervisor, inherited by every worker of every generation, so that a connection
// waiting in the kernel's queue belongs to no process in particular. Non-blocking, close-on-exec; TCP_NODELAY is set on
// the listener because accepted sockets inherit it (Linux).
#pragma once

#include "server/net/unix_socket.h"
#include "stint/listen_address.h"
#include "stint/result.h"
#include "stint/unique_fd.h"

#include <sys/socket.h>

#include <optional>
#include <string>

namespace stint::net {

struct Listener {
  UniqueFd socket;
  ListenAddress address;  // as bound: the port the kernel chose for port 0
  SocketFile file;        // of a unix listener this process has opened; removed with the Listener
};

// Errors: "listen 127.0.0.1:80: Permission denied", "… Address already in use". A unix socket file that nobody listens
// on is removed first; one that answers is an error. A new unix socket file has mode 0660, and belongs to `group` when
// there is one. An IPv6 listener takes no IPv4. Inherited sockets are not opened: see inherited_sockets.h.
Result<Listener> open_listener(const ListenAddress& address, std::optional<gid_t> group = std::nullopt);

// A listener that came as an inherited descriptor; its address is asked from the kernel.
Result<Listener> adopt_listener(UniqueFd socket);

// Connections that wait in the kernel's queue to be accepted; 0 as well where the kernel does not tell (unix sockets).
// For a listening socket tcp_info's tcpi_unacked is that number (Linux, net/ipv4/tcp.c, tcp_get_info()).
unsigned waiting_connections(int listener);

struct Accepted {
  UniqueFd socket;  // non-blocking, close-on-exec
  sockaddr_storage peer{};
};
// Error with code EAGAIN when nobody waits; ECONNABORTED and its kin are tried again inside.
Result<Accepted> accept_connection(const Listener& listener);

// Text of an address: host without brackets ("192.0.2.7", "2001:db8::1"; IPv4-mapped as IPv4) and port; both empty for
// unix.
struct AddressText {
  std::string host;
  std::string port;
};
AddressText text_of(const sockaddr_storage& address);
AddressText remote_address_of(int socket);  // getpeername(2)
AddressText local_address_of(int socket);   // getsockname(2): what the client connected to

}  // namespace stint::net
