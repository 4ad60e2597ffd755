#include "server/control/channel.h"

#include <sys/socket.h>

#include <cerrno>

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

Result<std::optional<Message>> Channel::receive() {
  const std::string doing = "receive a message";
  const auto receive_into = [this](char* buffer, std::size_t size, int flags) {
    ssize_t got;
    bool was_reset = false;
    do {
      got = ::recv(socket_.get(), buffer, size, flags);
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

}  // namespace stint::control
