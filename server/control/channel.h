// One end of the SOCK_SEQPACKET pair between supervisor and worker, or zygote. The end of the other process is told by
// the end of the channel. Non-blocking on both sides; the supervisor waits on fd() with Asio, the worker with its event
// loop.
#pragma once

#include "server/control/message.h"
#include "stint/result.h"
#include "stint/unique_fd.h"

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

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

  // With copies of `descriptors`, at most net::most_descriptors, which stay the caller's.
  Result<void> send(const Message& message, std::span<const int> descriptors);
  // And what came with the message is put behind `descriptors`. receive() closes it: what a worker sends is not wanted.
  Result<std::optional<Message>> receive(std::vector<UniqueFd>& descriptors);

  // Has the kernel add to each message that is sent from now on who has sent it (SO_PASSCRED, unix(7)).
  Result<void> ask_for_senders();
  // The process that has sent the message that receive() is going to return: its word counts for nothing, the kernel's
  // does. nullopt: there is none, or it cannot be told.
  std::optional<pid_t> sender() const;

 private:
  Result<std::optional<Message>> receive_with(std::vector<UniqueFd>* descriptors);

  UniqueFd socket_;
};

}  // namespace stint::control
