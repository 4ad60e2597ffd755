// Decimal numbers of HTTP: 1*DIGIT, nothing else.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace stint::http {

// Nothing for an empty text, any byte that is no digit, or a number above 2^64-1.
constexpr std::optional<std::uint64_t> parse_decimal(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::uint64_t number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    if (__builtin_mul_overflow(number, std::uint64_t{10}, &number)) return std::nullopt;
    if (__builtin_add_overflow(number, static_cast<std::uint64_t>(c - '0'), &number)) return std::nullopt;
  }
  return number;
}

}  // namespace stint::http
