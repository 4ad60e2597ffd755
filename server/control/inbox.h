// The pool's inbox: a second listening socket, for live connections. One AF_UNIX SOCK_SEQPACKET pair, made by the
// supervisor and inherited by every worker of every generation; the kernel keeps what is in it while no worker is there
// to read. Any worker, and any dead worker's keeper, puts a connection in with the bytes that belong to it; any worker
// with room takes it out.
//
// A packet is a HandoverHeader and `length` bytes, and carries descriptors: the sockets (several when all are idle),
// then the body's file if there is one. put() is used by the keeper too: only system calls, no allocation.
#pragma once

#include "server/control/connection_table.h"
#include "stint/result.h"
#include "stint/unique_fd.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stint::control {

struct HandoverHeader {
  std::uint32_t version = 2;
  std::uint32_t attempts = 0;  // workers that died at the request; not 0: environ["stint.retried"]
  std::uint32_t head_length = 0;
  std::uint32_t length = 0;  // of the bytes that follow: head, then what was read behind it; 0: idle connections
  std::uint8_t has_body = 0;
  std::uint8_t has_body_file = 0;
  BodyProgress progress{};
  PeerRecord peer;  // of all connections in the packet
};

// A connection, or several idle ones, taken out of the inbox.
struct Handover {
  HandoverHeader header;
  std::string bytes;
  std::vector<UniqueFd> sockets;
  UniqueFd body_file;
};

struct InboxEnds {
  UniqueFd put;
  UniqueFd take;
  UniqueFd idle_workers;  // who would take from it (idle_workers.h)
};
// With room for many connections where that is allowed (SO_SNDBUFFORCE), else with the default of about 160 packets.
Result<InboxEnds> make_inbox();

// How many packets with ordinary requests it takes, about.
std::size_t room_of_inbox(int put_end);

// Sockets in one packet of idle connections; SCM_MAX_FD is 253 (unix(7)).
inline constexpr std::size_t most_idle_in_packet = 64;
// Bytes in one packet.
inline constexpr std::size_t most_bytes_in_packet = 96 * 1024;

// 0, or errno: EAGAIN when the inbox is full, ETOOMANYREFS when too many descriptors are in flight (unix(7)). The
// descriptors stay the caller's, to close. Only system calls.
int put_into_inbox(int put_end, const HandoverHeader& header, std::string_view bytes, std::span<const int> descriptors);

// nullopt: empty. An error: a packet that is no hand-over; its descriptors are closed. Or EMFILE: this process has no
// room for the descriptors of a packet; it is still there, for others.
Result<std::optional<Handover>> take_from_inbox(int take_end);
// A descriptor of this number is in use, which shows how near the end of the numbers is.
void saw_descriptor(int number);

}  // namespace stint::control
