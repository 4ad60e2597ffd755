// One end of the SOCK_SEQPACKET pair between supervisor and worker. The end of the other process is told by the end of
// the channel. Non-blocking on both sides; the supervisor waits on fd() with Asio, the worker with its event loop.
#pragma once

#include "server/control/message.h"
#include "stint/result.h"
#include "stint/unique_fd.h"

#include <optional>
#include <utility>

namespace stint::control {

class Channel {
 public:
  explicit Channel(UniqueFd socket) : socket_(std::move(socket)) {}
  static Result<std::pair<Channel, Channel>> make_pair();

  int fd() const { return socket_.get(); }
  UniqueFd release() { return std::move(socket_); }

  // Error EAGAIN: the other side does not read (its queue of about 200 KiB is full); EPIPE: it is gone.
  Result<void> send(const Message& message);
  // nullopt: nothing there now. Error with code ECONNRESET: the other side has closed; any other: a broken packet.
  Result<std::optional<Message>> receive();

 private:
  UniqueFd socket_;
};

}  // namespace stint::control
