// "127.0.0.1:80", "[::1]:80" or "unix:/path" → a socket connected to it.
#pragma once

#include "stint/unique_fd.h"

#include <sys/socket.h>

#include <string>

namespace stint::test {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

SocketAddress parse_address(const std::string& text);           // throws on nonsense
UniqueFd make_socket(const SocketAddress& address, int flags);  // SOCK_STREAM, TCP_NODELAY; not yet connected

}  // namespace stint::test
