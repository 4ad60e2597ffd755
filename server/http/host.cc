#include "server/http/host.h"

#include "server/http/bytes_table.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace stint::http {
namespace {

bool is_port(std::string_view text) {
  if (text.empty() || text.size() > 5 || !std::all_of(text.begin(), text.end(), is_digit)) return false;
  unsigned number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number <= 65535;
}

bool is_ipv6(std::string_view text) {
  char terminated[INET6_ADDRSTRLEN] = {};
  if (text.size() >= sizeof terminated) return false;
  std::copy(text.begin(), text.end(), terminated);
  in6_addr ignored;
  return inet_pton(AF_INET6, terminated, &ignored) == 1;
}

constexpr std::array<bool, 256> name_bytes = [] {
  std::array<bool, 256> table{};
  for (unsigned c = 0; c < 128; ++c) {
    const char letter = to_lower(static_cast<char>(c));
    table[c] = (letter >= 'a' && letter <= 'z') || is_digit(letter) || letter == '-' || letter == '.' ||
               letter == '_' || letter == '~';
  }
  return table;
}();

std::string_view without_port(std::string_view authority, std::string_view port) {
  if (authority.ends_with(port)) authority.remove_suffix(port.size());
  return authority;
}

}  // namespace

bool is_valid_authority(std::string_view authority) {
  std::size_t host_end = 0;
  if (authority.starts_with('[')) {
    const std::size_t bracket = authority.find(']');
    if (bracket == authority.npos || !is_ipv6(authority.substr(1, bracket - 1))) return false;
    host_end = bracket + 1;
  } else {
    while (host_end < authority.size() && name_bytes[static_cast<unsigned char>(authority[host_end])]) ++host_end;
  }
  if (host_end == 0) return false;
  if (host_end == authority.size()) return true;
  return authority[host_end] == ':' && is_port(authority.substr(host_end + 1));
}

bool is_same_authority(std::string_view a, std::string_view b, std::string_view default_port) {
  a = without_port(a, default_port);
  b = without_port(b, default_port);
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return to_lower(x) == to_lower(y); });
}

}  // namespace stint::http
