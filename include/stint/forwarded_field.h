// The fields with which a proxy tells a server about the client it speaks for.
#pragma once

#include <cstdint>
#include <string_view>

namespace stint {

enum class ForwardedField : std::uint8_t {
  forwarded,  // RFC 7239
  x_forwarded_for,
  x_forwarded_proto,
  x_forwarded_host,
  x_forwarded_port,
  x_forwarded_prefix,
  x_request_id,
};

inline constexpr std::string_view forwarded_field_names[] = {  // indexed by ForwardedField
    "Forwarded",        "X-Forwarded-For",    "X-Forwarded-Proto", "X-Forwarded-Host",
    "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Request-ID"};

}  // namespace stint
