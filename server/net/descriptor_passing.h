// Descriptors that go along with a message between our processes (SCM_RIGHTS, unix(7)).
#pragma once

#include "stint/unique_fd.h"

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <vector>

namespace stint::net {

inline constexpr std::size_t most_descriptors = 253;  // SCM_MAX_FD, in one message

// Sends copies of `descriptors`, at most most_descriptors; they stay the caller's. `flags`: of sendmsg(2), which here
// never raises SIGPIPE. 0 or an errno. Only system calls and the stack: also for a child that has just been forked.
int send_with_descriptors(int socket, std::span<iovec> parts, std::span<const int> descriptors, int flags = 0);

struct ReceivedMessage {
  ssize_t size = -1;  // bytes, or of the whole packet with MSG_TRUNC; negative: errno says why
  int flags = 0;      // MSG_TRUNC, MSG_CTRUNC: there was no room for all of it
};
// Puts what came with the message behind `descriptors`, closed at an exec. `flags`: of recvmsg(2).
ReceivedMessage receive_with_descriptors(int socket, std::span<iovec> parts, std::vector<UniqueFd>& descriptors,
                                         int flags = 0);

}  // namespace stint::net
