#include "server/control/inbox.h"

#include "server/control/idle_workers.h"
#include "server/net/descriptor_passing.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

namespace stint::control {

namespace {

static_assert(std::is_trivially_copyable_v<HandoverHeader>);

constexpr std::uint32_t current_version = HandoverHeader{}.version;
constexpr std::size_t most_descriptors = most_idle_in_packet + 1;  // and a body's file
constexpr int wanted_room = 16 << 20;
// What the kernel charges for a packet with an ordinary head.
constexpr std::size_t charged_for_packet = 1536;

// The bytes may come from another process's mistake, or by the keeper from a dead worker's memory: what has to be one
// of a few values may hold any, and a bool with another is not even to be looked at.
bool is_peer(const PeerRecord& peer) {
  static_assert(sizeof(bool) == 1);
  std::uint8_t flags[2];
  std::memcpy(&flags[0], &peer.ends.has_addresses, 1);
  std::memcpy(&flags[1], &peer.ends.is_tls, 1);
  return peer.header <= PeerRecord::Header::read && flags[0] <= 1 && flags[1] <= 1;
}

// What both ends hold true of a packet.
bool is_handover(const HandoverHeader& header, std::size_t bytes, std::size_t descriptors) {
  if (header.version != current_version || header.length != bytes || bytes > most_bytes_in_packet) return false;
  if (header.head_length > header.length || !is_peer(header.peer)) return false;
  const std::size_t files = header.has_body_file != 0 ? 1 : 0;
  if (descriptors <= files) return false;
  const std::size_t sockets = descriptors - files;
  const bool is_idle = header.length == 0 && header.has_body == 0 && files == 0;
  return sockets == 1 || (is_idle && sockets <= most_idle_in_packet);
}

// The highest number that a descriptor has had, as far as it was seen here. Numbers are given from the lowest free one
// on, so where this one is far from the end there is room.
std::atomic<int> highest_number{-1};

// The kernel gives what it can of a packet's descriptors, and closes the others, which are clients. Where the last
// numbers have come into use it is seen whether they are free now. (Not always: the first use of a high number makes
// the kernel enlarge the table of descriptors, which takes milliseconds where a keeper shares it.)
bool has_room_for_descriptors(int any) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX) return true;
  const auto end = static_cast<int>(limit.rlim_cur);
  const int most = std::min(static_cast<int>(most_descriptors), end / 4);
  {
    const UniqueFd lowest(::fcntl(any, F_DUPFD_CLOEXEC, 0));  // the application has files as well
    if (!lowest.is_open()) return false;
    saw_descriptor(lowest.get());
  }
  if (highest_number.load(std::memory_order_relaxed) < end - 2 * most) return true;
  const UniqueFd near_end(::fcntl(any, F_DUPFD_CLOEXEC, end - 2 * most));
  return near_end.is_open() && near_end.get() <= end - most;
}

}  // namespace

Result<InboxEnds> make_inbox() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    return system_error("make an inbox");
  InboxEnds inbox{UniqueFd(ends[0]), UniqueFd(ends[1]), {}};
  Result<UniqueFd> idle = make_idle_workers();
  if (!idle.has_value()) return idle.error();
  inbox.idle_workers = std::move(*idle);
  // The kernel charges what waits to the sender. Refused to the unprivileged, who get what net.core.wmem_max allows;
  // that is enough to work with, so a refusal is no error.
  if (::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUFFORCE, &wanted_room, sizeof wanted_room) != 0)
    static_cast<void>(::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &wanted_room, sizeof wanted_room));
  return inbox;
}

std::size_t room_of_inbox(int put_end) {
  int bytes = 0;
  socklen_t size = sizeof bytes;
  if (::getsockopt(put_end, SOL_SOCKET, SO_SNDBUF, &bytes, &size) != 0) return 0;
  return static_cast<std::size_t>(bytes) / charged_for_packet;
}

int put_into_inbox(int put_end, const HandoverHeader& header, std::string_view bytes,
                   std::span<const int> descriptors) {
  HandoverHeader packet = header;
  packet.length = static_cast<std::uint32_t>(bytes.size());
  if (!is_handover(packet, bytes.size(), descriptors.size())) return EINVAL;

  iovec parts[2] = {{&packet, sizeof packet}, {const_cast<char*>(bytes.data()), bytes.size()}};
  return net::send_with_descriptors(put_end, parts, descriptors, MSG_DONTWAIT);
}

// Whoever takes from the inbox has the lease, and is alone.
void saw_descriptor(int number) {
  if (number > highest_number.load(std::memory_order_relaxed)) highest_number.store(number, std::memory_order_relaxed);
}

Result<std::optional<Handover>> take_from_inbox(int take_end) {
  const std::string doing = "take a connection from the inbox";
  if (!has_room_for_descriptors(take_end)) return system_error(doing, EMFILE);
  Handover handover;
  // Never looked at first for its size: another worker might take that packet, and this one a larger.
  const auto bytes = std::make_unique_for_overwrite<char[]>(most_bytes_in_packet);
  iovec parts[2] = {{&handover.header, sizeof handover.header}, {bytes.get(), most_bytes_in_packet}};
  std::vector<UniqueFd> descriptors;
  const net::ReceivedMessage received = net::receive_with_descriptors(take_end, parts, descriptors, MSG_DONTWAIT);
  if (received.size < 0) {
    if (errno == EAGAIN) return std::nullopt;
    return system_error(doing);
  }

  for (const UniqueFd& descriptor : descriptors) saw_descriptor(descriptor.get());
  if (received.size == 0 && descriptors.empty())
    return system_error(doing, ECONNRESET);  // nobody is left to put one in
  // The kernel gives what it can when the process has no descriptor left, and drops the others.
  if ((received.flags & MSG_CTRUNC) != 0) {
    highest_number = INT_MAX;  // it has been wrong: look each time
    return error_because(doing + ": there was no room for its descriptors");
  }
  const auto got = static_cast<std::size_t>(received.size);
  if (got < sizeof handover.header || (received.flags & MSG_TRUNC) != 0 ||
      !is_handover(handover.header, got - sizeof handover.header, descriptors.size()))
    return error_because(doing + ": this packet is none");

  handover.bytes.assign(bytes.get(), got - sizeof handover.header);
  if (handover.header.has_body_file != 0) {
    handover.body_file = std::move(descriptors.back());
    descriptors.pop_back();
  }
  handover.sockets = std::move(descriptors);
  return handover;
}

}  // namespace stint::control
