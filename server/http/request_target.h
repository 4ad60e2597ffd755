// The request target (RFC 9112 §3.2) and its parts.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace stint::http {

struct RequestTarget {
  std::string_view authority;     // of an absolute target; else empty
  std::string_view default_port;  // ":80" or ":443" of an absolute target's scheme
  std::string_view path;          // raw; "/" where an absolute target has none; "*"
  std::string_view query;         // raw, without "?"
};

// Nothing when the target has none of the forms an origin server answers: "/path?query", "http://host/path?query"
// (https too), and "*" with OPTIONS.
std::optional<RequestTarget> split_target(std::string_view method, std::string_view target);

// Every "%" is followed by two hexadecimal digits that are not "00".
bool has_valid_percents(std::string_view target);

// Replaces `out` by `path` with its triplets decoded. REQUIRES: has_valid_percents(path).
void decode_percents(std::string_view path, std::string& out);

}  // namespace stint::http
