// A packet in the pool's inbox, as a worker with a bug might send it. The input: one byte that says how many
// descriptors come along, then the packet. Promises:
// - it is a hand-over whose numbers agree with what came, or an error;
// - every descriptor that came is either in the hand-over or closed;
// - what was taken can be put in again, and comes out the same.
#include "server/control/inbox.h"

#include "tests/fuzz/promise.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace stint::fuzz {
namespace {

constexpr std::size_t most_descriptors = 8;

// The descriptor that the next open would get: the number of open ones, as none is ever closed in between.
int next_descriptor() {
  const int fd = ::dup(0);
  ::close(fd);
  return fd;
}

bool send(int end, std::string_view packet, const std::vector<int>& descriptors) {
  iovec part{const_cast<char*>(packet.data()), packet.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * most_descriptors)];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    const std::size_t size = sizeof(int) * descriptors.size();
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(size);
    cmsghdr* const rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(rights), descriptors.data(), size);
  }
  return ::sendmsg(end, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

void check_taken(const control::InboxEnds& inbox, const control::Handover& taken, std::string_view packet,
                 std::size_t descriptors) {
  const std::size_t files = taken.header.has_body_file != 0 ? 1 : 0;
  promise(taken.header.length == taken.bytes.size(), "a hand-over has the bytes its header says");
  promise(packet.substr(sizeof(control::HandoverHeader)) == taken.bytes, "the bytes are those of the packet");
  promise(taken.header.head_length <= taken.bytes.size(), "a head is a part of the bytes");
  promise(!taken.sockets.empty() && taken.sockets.size() + files == descriptors, "every descriptor has an owner");
  promise(taken.header.peer.header <= control::PeerRecord::Header::read, "a peer's header is none, awaited or read");
  promise(taken.body_file.is_open() == (files == 1), "a body's file is there when the header says so");

  std::vector<int> again;
  for (const UniqueFd& socket : taken.sockets) again.push_back(socket.get());
  if (files == 1) again.push_back(taken.body_file.get());
  promise(control::put_into_inbox(inbox.put.get(), taken.header, taken.bytes, again) == 0, "it can be handed on");
  const auto second = control::take_from_inbox(inbox.take.get());
  promise(second.has_value() && second->has_value(), "it can be taken again");
  promise((*second)->bytes == taken.bytes && (*second)->sockets.size() == taken.sockets.size(), "it is the same again");
  const control::HandoverHeader &first = taken.header, &other = (*second)->header;
  promise(other.attempts == first.attempts && other.head_length == first.head_length &&
              other.has_body == first.has_body && other.progress == first.progress &&
              other.peer.header == first.peer.header && other.peer.ends == first.peer.ends,
          "its header is the same again");
}

void check(std::string_view input) {
  static const control::InboxEnds inbox = *control::make_inbox();
  const int before = next_descriptor();
  const std::vector<int> descriptors(static_cast<unsigned char>(input[0]) % (most_descriptors + 1), inbox.put.get());
  std::string packet(input.substr(1));
  // Half of the inputs have what an honest sender writes as version and length, and half of those a possible head.
  if (input[0] < 0 && packet.size() >= sizeof(control::HandoverHeader)) {
    control::HandoverHeader header;
    std::memcpy(&header, packet.data(), sizeof header);
    header.version = control::HandoverHeader{}.version;
    header.length = static_cast<std::uint32_t>(packet.size() - sizeof header);
    if ((input[0] & 0x40) != 0) header.head_length %= header.length + 1;
    std::memcpy(packet.data(), &header, sizeof header);
  }
  if (packet.empty() || !send(inbox.put.get(), packet, descriptors)) return;
  {
    const auto taken = control::take_from_inbox(inbox.take.get());
    if (taken) {
      promise(taken->has_value(), "what was sent is there");
      check_taken(inbox, **taken, packet, descriptors.size());
    } else {
      promise(!taken.error().text().empty(), "a packet that is none is told as such");
    }
  }
  promise(next_descriptor() == before, "no descriptor is left open");
}

}  // namespace
}  // namespace stint::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0) stint::fuzz::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
