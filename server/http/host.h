// The authority of a request: Host's value, or what stands between "http://" and the path of an absolute target.
#pragma once

#include <string_view>

namespace stint::http {

// "host", "host:port", "[v6]" or "[v6]:port". A host is letters, digits and "-._~": what DNS, container networks and
// punycode use. The other bytes that RFC 3986 would let pass (percent triplets, "!$&'()*+,;=") only serve attacks on
// what builds links or cache keys from Host. No user part, no zone; a port, when there is a colon.
bool is_valid_authority(std::string_view authority);

// Do both name the same place? Case does not count, nor whether `default_port` (":80", ":443") is written out.
bool is_same_authority(std::string_view a, std::string_view b, std::string_view default_port);

}  // namespace stint::http
