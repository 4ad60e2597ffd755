#include "server/control/channel.h"

#include "server/net/descriptor_passing.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

namespace stint::control {

Result<std::pair<Channel, Channel>> Channel::make_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    return system_error("make a channel");
  return std::pair(Channel(UniqueFd(ends[0])), Channel(UniqueFd(ends[1])));
}

Result<void> Channel::send(const Message& message) {
  const std::string packet = encode(message);
  while (::send(socket_.get(), packet.data(), packet.size(), MSG_NOSIGNAL) < 0)
    if (errno != EINTR) return system_error("send a message");
  return {};
}

Result<void> Channel::send(const Message& message, std::span<const int> descriptors) {
  if (descriptors.size() > net::most_descriptors)
    return error_because("send a message: " + std::to_string(descriptors.size()) + " descriptors are more than the " +
                         std::to_string(net::most_descriptors) + " that the kernel takes at once");
  std::string packet = encode(message);
  iovec part{packet.data(), packet.size()};
  if (const int error = net::send_with_descriptors(socket_.get(), {&part, 1}, descriptors); error != 0)
    return system_error("send a message", error);
  return {};
}

Result<std::optional<Message>> Channel::receive() { return receive_with(nullptr); }
Result<std::optional<Message>> Channel::receive(std::vector<UniqueFd>& descriptors) {
  return receive_with(&descriptors);
}

Result<std::optional<Message>> Channel::receive_with(std::vector<UniqueFd>* descriptors) {
  const std::string doing = "receive a message";
  const auto receive_into = [&](char* buffer, std::size_t size, int flags) {
    iovec part{buffer, size};
    const bool takes_them = descriptors != nullptr && (flags & MSG_PEEK) == 0;
    ssize_t got;
    bool was_reset = false;
    do {
      got = takes_them ? net::receive_with_descriptors(socket_.get(), {&part, 1}, *descriptors, flags).size
                       : ::recv(socket_.get(), buffer, size, flags);
      // The kernel says once that the other side has closed with messages of ours unread; what it had sent before
      // still waits here and must not be lost: it may say why a start failed.
    } while (got < 0 && (errno == EINTR || (errno == ECONNRESET && !std::exchange(was_reset, true))));
    return got;
  };

  char nothing;
  const ssize_t size = receive_into(&nothing, 1, MSG_PEEK | MSG_TRUNC);  // the packet's true size
  if (size < 0) {
    if (errno == EAGAIN) return std::nullopt;
    return system_error(doing);
  }
  if (size == 0) return system_error(doing, ECONNRESET);  // we never send empty packets: the end
  std::string packet(static_cast<std::size_t>(size), '\0');
  if (receive_into(packet.data(), packet.size(), 0) < 0) return system_error(doing);
  auto message = decode(packet);
  if (!message) return message.error();
  return std::move(*message);
}

Result<void> Channel::ask_for_senders() {
  const int on = 1;
  if (::setsockopt(socket_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0)
    return system_error("ask who sends messages");
  return {};
}

std::optional<pid_t> Channel::sender() const {
  char nothing;
  iovec part{&nothing, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> control;
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t got;
  while ((got = ::recvmsg(socket_.get(), &header, MSG_PEEK)) < 0 && errno == EINTR) {
  }
  if (got < 0) return std::nullopt;
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_CREDENTIALS) continue;
    ucred credentials{};
    std::memcpy(&credentials, CMSG_DATA(item), sizeof credentials);
    return credentials.pid;
  }
  return std::nullopt;
}

}  // namespace stint::control
