#include "tests/support/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <cstdint>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace stint::test {

SocketAddress parse_address(const std::string& text) {
  SocketAddress address;
  if (text.starts_with("unix:")) {
    auto& unix_address = reinterpret_cast<sockaddr_un&>(address.storage);
    const std::string path = text.substr(5);
    if (path.size() >= sizeof unix_address.sun_path) throw std::invalid_argument("path too long: " + path);
    unix_address.sun_family = AF_UNIX;
    std::memcpy(unix_address.sun_path, path.c_str(), path.size() + 1);
    address.size = sizeof unix_address;
    return address;
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) throw std::invalid_argument("no port: " + text);
  const auto port = static_cast<std::uint16_t>(std::stoul(text.substr(colon + 1)));
  int is_valid = 0;
  if (text.front() == '[') {
    auto& ipv6 = reinterpret_cast<sockaddr_in6&>(address.storage);
    ipv6.sin6_family = AF_INET6;
    ipv6.sin6_port = htons(port);
    is_valid = inet_pton(AF_INET6, text.substr(1, colon - 2).c_str(), &ipv6.sin6_addr);
    address.size = sizeof ipv6;
  } else {
    auto& ipv4 = reinterpret_cast<sockaddr_in&>(address.storage);
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = htons(port);
    is_valid = inet_pton(AF_INET, text.substr(0, colon).c_str(), &ipv4.sin_addr);
    address.size = sizeof ipv4;
  }
  if (is_valid != 1) throw std::invalid_argument("not an address: " + text);
  return address;
}

UniqueFd make_socket(const SocketAddress& address, int flags) {
  UniqueFd fd(socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!fd.is_open()) throw std::system_error(errno, std::generic_category(), "socket");
  if (address.storage.ss_family != AF_UNIX) {
    const int on = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  return fd;
}

}  // namespace stint::test
