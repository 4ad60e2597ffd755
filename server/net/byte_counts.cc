#include "server/net/byte_counts.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstddef>

namespace stint::net {

namespace {

std::optional<tcp_info> info_of(int socket) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return std::nullopt;
  if (length < offsetof(tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received) return std::nullopt;
  return info;
}

// Its FIN counts as a byte.
bool has_peers_end(const tcp_info& info) {
  constexpr int time_wait = 6, close_wait = 8, last_ack = 9, closing = 11;  // of the kernel's tcp_states.h
  const int state = info.tcpi_state;
  return state == time_wait || state == close_wait || state == last_ack || state == closing;
}

}  // namespace

std::optional<std::uint64_t> written_bytes(int socket) {
  const std::optional<tcp_info> info = info_of(socket);
  int queued = 0;
  if (!info || ::ioctl(socket, SIOCOUTQ, &queued) != 0) return std::nullopt;
  return info->tcpi_bytes_acked + static_cast<std::uint64_t>(queued);
}

std::optional<std::uint64_t> read_bytes(int socket) {
  // What comes in between would look as if it had been taken.
  for (int attempts = 0; attempts < 8; ++attempts) {
    int waiting = 0;
    if (::ioctl(socket, SIOCINQ, &waiting) != 0) return std::nullopt;
    const std::optional<tcp_info> info = info_of(socket);
    int waiting_now = 0;
    if (!info || ::ioctl(socket, SIOCINQ, &waiting_now) != 0) return std::nullopt;
    if (waiting != waiting_now) continue;
    const std::uint64_t received = info->tcpi_bytes_received - (has_peers_end(*info) ? 1 : 0);
    return received - static_cast<std::uint64_t>(waiting);
  }
  return std::nullopt;
}

std::uint64_t queued_bytes(int socket) {
  int queued = 0;
  return ::ioctl(socket, SIOCOUTQ, &queued) == 0 && queued > 0 ? static_cast<std::uint64_t>(queued) : 0;
}

}  // namespace stint::net
