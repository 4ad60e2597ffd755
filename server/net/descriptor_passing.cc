#include "server/net/descriptor_passing.h"

#include "stint/assert.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace stint::net {

namespace {
constexpr std::size_t room = CMSG_SPACE(sizeof(int) * most_descriptors);
}

int send_with_descriptors(int socket, std::span<iovec> parts, std::span<const int> descriptors, int flags) {
  STINT_ASSERT(descriptors.size() <= most_descriptors);
  alignas(cmsghdr) std::array<char, room> control{};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  if (!descriptors.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
  }
  while (::sendmsg(socket, &message, flags | MSG_NOSIGNAL) < 0)
    if (errno != EINTR) return errno;
  return 0;
}

ReceivedMessage receive_with_descriptors(int socket, std::span<iovec> parts, std::vector<UniqueFd>& descriptors,
                                         int flags) {
  alignas(cmsghdr) std::array<char, room> control;
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  ssize_t size;
  do {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    size = ::recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return {};
  for (cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr; item = CMSG_NXTHDR(&message, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int descriptor;
      std::memcpy(&descriptor, CMSG_DATA(item) + i * sizeof descriptor, sizeof descriptor);
      descriptors.emplace_back(descriptor);
    }
  }
  return {size, message.msg_flags};
}

}  // namespace stint::net
