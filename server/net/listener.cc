#include "server/net/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>

namespace stint::net {

namespace {

constexpr int on = 1;

Result<Listener> open_unix(const ListenAddress& address, std::optional<gid_t> group, const std::string& doing) {
  auto bound = bind_unix_socket(address.path, 0660, doing, group);
  if (!bound) return bound.error();
  if (::listen(bound->socket.get(), SOMAXCONN) != 0) return system_error(doing);
  return Listener{std::move(bound->socket), address, std::move(bound->file)};
}

// Not an IPv4 address in IPv6's clothes ("::ffff:192.0.2.7").
bool is_ipv6_proper(const sockaddr& name) {
  return name.sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&reinterpret_cast<const sockaddr_in6&>(name).sin6_addr);
}

Result<Listener> open_tcp(const ListenAddress& address, const std::string& doing) {
  addrinfo hints{};
  hints.ai_family = address.family == ListenAddress::Family::ipv6 ? AF_INET6 : AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found))
    return error_because(doing + ": " + ::gai_strerror(code));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> info(found, &::freeaddrinfo);

  UniqueFd socket(::socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  if (!socket.is_open()) return system_error(doing);
  // Otherwise "[::]" would take IPv4 as well, and leave no room for "0.0.0.0" with the same port beside it (ipv6(7)).
  if (is_ipv6_proper(*info->ai_addr) && ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0)
    return system_error(doing);
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
      ::bind(socket.get(), info->ai_addr, info->ai_addrlen) != 0 || ::listen(socket.get(), SOMAXCONN) != 0)
    return system_error(doing);

  ListenAddress bound = address;
  sockaddr_storage name{};
  socklen_t length = sizeof name;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&name), &length) != 0) return system_error(doing);
  bound.port = ntohs(info->ai_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(name).sin6_port
                                                 : reinterpret_cast<const sockaddr_in&>(name).sin_port);
  return Listener{std::move(socket), std::move(bound), {}};
}

std::uint16_t number_of(const std::string& port) { return static_cast<std::uint16_t>(std::stoul("0" + port)); }

// "@name" stands for an abstract one, whose first byte is NUL (unix(7)).
std::string path_of(const sockaddr_un& name, socklen_t length) {
  const std::size_t size = length - offsetof(sockaddr_un, sun_path);
  if (size > 0 && name.sun_path[0] == '\0') return "@" + std::string(name.sun_path + 1, size - 1);
  return {name.sun_path, ::strnlen(name.sun_path, size)};
}

// Errors of accept(2) that are about one connection, not about the listener: it left the queue with the error.
bool concerns_one_connection(int error) {
  switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case ENOPROTOOPT:
      return true;
    default:
      return false;
  }
}

}  // namespace

Result<Listener> open_listener(const ListenAddress& address, std::optional<gid_t> group) {
  const std::string doing = "listen " + address.text();
  if (address.family == ListenAddress::Family::inherited)
    return error_because(doing + ": sockets are inherited at the start only; restart the server");
  return address.family == ListenAddress::Family::unix_path ? open_unix(address, group, doing)
                                                            : open_tcp(address, doing);
}

Result<Listener> adopt_listener(UniqueFd socket) {
  const std::string doing = "use inherited descriptor " + std::to_string(socket.get()) + " as a listener";
  int is_listening = 0;
  socklen_t length = sizeof is_listening;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &length) != 0) return system_error(doing);
  if (is_listening == 0) return error_because(doing + ": it does not listen");
  int type = 0;
  length = sizeof type;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_TYPE, &type, &length) != 0) return system_error(doing);
  if (type != SOCK_STREAM) return error_because(doing + ": it is no stream socket");

  sockaddr_storage name{};
  length = sizeof name;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&name), &length) != 0) return system_error(doing);
  ListenAddress address;
  if (name.ss_family == AF_UNIX) {
    const auto& unix_name = reinterpret_cast<const sockaddr_un&>(name);
    address.family = ListenAddress::Family::unix_path;
    address.path = path_of(unix_name, length);
  } else if (name.ss_family == AF_INET || name.ss_family == AF_INET6) {
    auto text = text_of(name);
    address.host = std::move(text.host);  // of an IPv6 socket too, if it is bound to an IPv4 address
    address.family =
        address.host.find(':') == std::string::npos ? ListenAddress::Family::ipv4 : ListenAddress::Family::ipv6;
    address.port = number_of(text.port);
    if (::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) return system_error(doing);
  } else {
    return system_error(doing, EAFNOSUPPORT);
  }

  const int flags = ::fcntl(socket.get(), F_GETFL);
  if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) != 0 ||
      ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC) != 0)
    return system_error(doing);
  return Listener{std::move(socket), std::move(address), {}};
}

unsigned waiting_connections(int listener) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (::getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return 0;
  return info.tcpi_unacked;
}

Result<Accepted> accept_connection(const Listener& listener) {
  Accepted accepted;
  while (true) {
    socklen_t length = sizeof accepted.peer;
    const int fd = ::accept4(listener.socket.get(), reinterpret_cast<sockaddr*>(&accepted.peer), &length,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      accepted.socket.reset(fd);
      return accepted;
    }
    if (!concerns_one_connection(errno)) return system_error("accept");
  }
}

AddressText text_of(const sockaddr_storage& address) {
  char host[INET6_ADDRSTRLEN] = "";
  std::uint16_t port = 0;
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host);
    port = v4.sin_port;
  } else if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
      ::inet_ntop(AF_INET, v6.sin6_addr.s6_addr + 12, host, sizeof host);
    else
      ::inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host);
    port = v6.sin6_port;
  } else {
    return {};
  }
  return {host, std::to_string(ntohs(port))};
}

AddressText remote_address_of(int socket) {
  sockaddr_storage name{};
  socklen_t length = sizeof name;
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&name), &length) != 0) return {};
  return text_of(name);
}

AddressText local_address_of(int socket) {
  sockaddr_storage name{};
  socklen_t length = sizeof name;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&name), &length) != 0) return {};
  return text_of(name);
}

}  // namespace stint::net
