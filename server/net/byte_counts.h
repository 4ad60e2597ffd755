// How many bytes of a connection the kernel has taken from us since it was accepted, whichever processes wrote them.
// This is what tells a whole answer from one that was never begun when the process that sent it died in the middle of
// send(2).
#pragma once

#include <cstdint>
#include <optional>

namespace stint::net {

// Acknowledged bytes (TCP_INFO's tcpi_bytes_acked, Linux 4.1) plus those still queued (SIOCOUTQ, tcp(7)). nullopt for a
// unix socket, which counts neither, and before that kernel. Only system calls.
std::optional<std::uint64_t> written_bytes(int socket);

// How many bytes of a connection have been taken from the kernel since it was accepted, whichever processes took them:
// received ones (tcpi_bytes_received) less those that still wait (SIOCINQ). The same conditions, and nullopt where more
// comes all the time.
std::optional<std::uint64_t> read_bytes(int socket);

// Bytes that the peer has not taken yet: not acknowledged ones (SIOCOUTQ), or of a unix socket, about, those not read.
// 0 where the kernel does not tell.
std::uint64_t queued_bytes(int socket);

}  // namespace stint::net
