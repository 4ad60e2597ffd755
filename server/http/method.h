#pragma once

#include <string_view>

namespace stint::http {

// It asks for nothing to be changed, so it may be given up, or made again. Of RFC 9110 §9.2.1 without TRACE.
inline bool is_safe_method(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS";
}

}  // namespace stint::http
