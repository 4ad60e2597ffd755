#include "server/net/written_bytes.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstddef>

namespace stint::net {

std::optional<std::uint64_t> written_bytes(int socket) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return std::nullopt;
  if (length < offsetof(tcp_info, tcpi_bytes_acked) + sizeof info.tcpi_bytes_acked) return std::nullopt;
  int queued = 0;
  if (::ioctl(socket, SIOCOUTQ, &queued) != 0) return std::nullopt;
  return info.tcpi_bytes_acked + static_cast<std::uint64_t>(queued);
}

}  // namespace stint::net
