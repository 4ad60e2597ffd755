// What a PROXY protocol header said about a connection: plain bytes, so that it travels with the connection to another
// process as it is. Texts are made from it where they are needed.
#pragma once

#include "stint/ip_address.h"

#include <cstdint>
#include <type_traits>

namespace stint {

struct ProxiedEnds {
  IpAddress client;
  IpAddress server;  // where the client connected to
  std::uint16_t client_port = 0;
  std::uint16_t server_port = 0;
  bool has_addresses = false;  // false: the proxy speaks for itself or does not know; the socket's own ends count
  bool is_tls = false;         // the client came to the proxy by TLS: its scheme is https

  bool operator==(const ProxiedEnds&) const = default;
};
static_assert(std::is_trivially_copyable_v<ProxiedEnds> && sizeof(ProxiedEnds) <= 40);

}  // namespace stint
