// What each byte may be in HTTP, as one table: the loops over requests' and answers' bytes look up and test a bit.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace stint::http {

enum ByteClass : std::uint8_t {
  byte_token = 1,       // RFC 9110 §5.6.2 tchar: names, methods
  byte_value = 2,       // in a field's value: HTAB, SP, VCHAR, obs-text
  byte_target = 4,      // in a request target: visible ASCII but "#", which would begin a fragment
  byte_line = 8,        // in a request line: SP and visible ASCII
  byte_underscore = 16  // the token byte that CGI names cannot tell from "-"
};

inline constexpr std::array<std::uint8_t, 256> byte_classes = [] {
  std::array<std::uint8_t, 256> table{};
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  for (unsigned c = 0; c < 256; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool digit = c >= '0' && c <= '9';
    if (letter || digit || (c < 128 && marks.find(static_cast<char>(c)) != marks.npos)) table[c] |= byte_token;
    if (c == '\t' || (c >= 0x20 && c != 0x7f)) table[c] |= byte_value;
    if (c > 0x20 && c < 0x7f && c != '#') table[c] |= byte_target;
    if (c >= 0x20 && c < 0x7f) table[c] |= byte_line;
  }
  table[static_cast<unsigned char>('_')] |= byte_underscore;
  return table;
}();

constexpr std::uint8_t class_of(char c) { return byte_classes[static_cast<unsigned char>(c)]; }
constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

// The value of a hexadecimal digit, or -1.
constexpr int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char lower = to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

constexpr bool is_token(std::string_view text) {
  for (const char c : text) {
    if ((class_of(c) & byte_token) == 0) return false;
  }
  return !text.empty();
}

// `lower` is in lower case already.
constexpr bool equals_ignoring_case(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (to_lower(text[i]) != lower[i]) return false;
  }
  return true;
}

constexpr std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// The first byte from `at` on that may not stand in a field's value, or `end`. Eight bytes at a time: cookies and
// user agents are most of a head.
inline const char* end_of_value(const char* at, const char* end) {
  constexpr std::uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
  while (end - at >= 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    // The top bit of each byte below 0x20, and of each that is DEL; a borrow can only mark too many, never too few.
    const std::uint64_t below_space = (word - ones * 0x20) & ~word;
    const std::uint64_t no_del = word ^ (ones * 0x7f);
    const std::uint64_t is_del = (no_del - ones) & ~no_del;
    if (((below_space | is_del) & tops) != 0) {
      for (const char* last = at + 8; at != last; ++at) {
        if ((class_of(*at) & byte_value) == 0) return at;
      }
      continue;  // HTAB, or a false mark
    }
    at += 8;
  }
  while (at != end && (class_of(*at) & byte_value) != 0) ++at;
  return at;
}

}  // namespace stint::http
