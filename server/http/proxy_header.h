// The PROXY protocol, versions 1 and 2, as HAProxy's proxy-protocol.txt has it: what stands before the first byte of
// the client and says who the client is. Pure functions; run by worker::Connection on connections from trusted
// addresses when `proxy.protocol` is on. No sockets.
//
// What always holds: the verdict depends on the bytes alone, not on how they were cut. A header is refused only when no
// more bytes could make it good, and judged as a whole only when all of it is there; at most max_proxy_header bytes are
// ever looked at. What follows the header is the client's.
#pragma once

#include "stint/proxied_ends.h"
#include "stint/refusal_reason.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stint::http {

struct ProxyHeader {
  enum class Verdict { incomplete, complete, refused };
  Verdict verdict = Verdict::incomplete;
  std::size_t size = 0;    // complete: bytes that were the header
  ProxiedEnds ends;        // complete
  RefusalReason reason{};  // refused; there is no answer to such a connection
};

inline constexpr std::size_t max_proxy_header_v1 = 107;        // the specification's limit, CR LF included
inline constexpr std::size_t max_proxy_header_v2 = 16 + 2048;  // ours; the specification's is 16 + 65535
inline constexpr std::size_t max_proxy_header = max_proxy_header_v2;

// `bytes`: all of the connection so far.
ProxyHeader read_proxy_header(std::string_view bytes);

// CRC-32C (Castagnoli), as RFC 3720 appendix B.4 has it.
std::uint32_t crc32c(std::string_view bytes);

}  // namespace stint::http
