#include "server/http/proxy_header.h"

#include "server/http/bytes_table.h"
#include "server/http/decimal.h"

#include <boost/crc.hpp>

#include <algorithm>
#include <array>
#include <optional>

namespace stint::http {
namespace {

using Verdict = ProxyHeader::Verdict;

ProxyHeader refused(RefusalReason reason) { return {.verdict = Verdict::refused, .reason = reason}; }

ProxyHeader complete(std::size_t size, const ProxiedEnds& ends) {
  return {.verdict = Verdict::complete, .size = size, .ends = ends};
}

bool begins_alike(std::string_view bytes, std::string_view whole) {
  const std::size_t size = std::min(bytes.size(), whole.size());
  return bytes.substr(0, size) == whole.substr(0, size);
}

// ---- version 1: "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"

constexpr std::string_view v1_begin = "PROXY ";

// The text up to the next space, which `text` loses with it. Without a space: all of it.
std::string_view take_word(std::string_view& text) {
  const std::size_t space = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, space);
  text.remove_prefix(std::min(space + 1, text.size()));
  return word;
}

std::optional<IpAddress> parse_address(std::string_view text, bool is_ipv6) {
  if ((text.find(':') != text.npos) != is_ipv6) return std::nullopt;
  return IpAddress::parse(text);
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  if (text.size() > 5 || (text.size() > 1 && text.starts_with('0'))) return std::nullopt;
  const auto number = parse_decimal(text);
  if (!number || *number > 65535) return std::nullopt;
  return static_cast<std::uint16_t>(*number);
}

// `line`: between "PROXY " and CR LF.
std::optional<ProxiedEnds> parse_line(std::string_view line) {
  if (std::ranges::any_of(line, [](char c) { return (class_of(c) & byte_line) == 0; })) return std::nullopt;
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) return ProxiedEnds{};
  if (std::ranges::count(line, ' ') != 4) return std::nullopt;
  const std::string_view protocol = take_word(line);
  if (protocol != "TCP4" && protocol != "TCP6") return std::nullopt;
  const bool is_ipv6 = protocol == "TCP6";
  const auto client = parse_address(take_word(line), is_ipv6);
  const auto server = parse_address(take_word(line), is_ipv6);
  const auto client_port = parse_port(take_word(line));
  const auto server_port = parse_port(line);
  if (!client || !server || !client_port || !server_port) return std::nullopt;
  return ProxiedEnds{*client, *server, *client_port, *server_port, true, false};
}

ProxyHeader read_v1(std::string_view bytes) {
  if (!begins_alike(bytes, v1_begin)) return refused(RefusalReason::no_proxy_header);
  const std::size_t line_feed = bytes.substr(0, max_proxy_header_v1).find('\n');
  if (line_feed == bytes.npos) {
    return bytes.size() < max_proxy_header_v1 ? ProxyHeader{} : refused(RefusalReason::proxy_line_too_long);
  }
  if (bytes[line_feed - 1] != '\r') return refused(RefusalReason::proxy_line);
  const auto ends = parse_line(bytes.substr(v1_begin.size(), line_feed - 1 - v1_begin.size()));
  return ends ? complete(line_feed + 1, *ends) : refused(RefusalReason::proxy_line);
}

// ---- version 2: signature, version and command, family and transport, length; addresses; TLVs

constexpr std::string_view v2_begin("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t v2_fixed = 16;
constexpr std::size_t longest_rest = max_proxy_header_v2 - v2_fixed;
constexpr std::size_t tlv_begin = 3;  // type and length

constexpr std::uint8_t tlv_crc32c = 0x03;
constexpr std::uint8_t tlv_ssl = 0x20;
constexpr std::uint8_t ssl_client_came_by_tls = 0x01;
constexpr std::size_t ssl_fixed = 5;  // client flags and verification; TLVs follow

std::uint8_t byte_at(std::string_view bytes, std::size_t at) { return static_cast<std::uint8_t>(bytes[at]); }

std::uint16_t number_at(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint16_t>(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1));
}

template <std::size_t size>
std::array<std::uint8_t, size> take(std::string_view& bytes) {
  std::array<std::uint8_t, size> taken;
  std::copy_n(bytes.begin(), size, taken.begin());
  bytes.remove_prefix(size);
  return taken;
}

std::uint16_t take_number(std::string_view& bytes) {
  const std::uint16_t number = number_at(bytes, 0);
  bytes.remove_prefix(2);
  return number;
}

// CRC-32C (Castagnoli), as RFC 3720 appendix B.4 has it.
using Crc32c = boost::crc_optimal<32, 0x1edc6f41, 0xffffffff, 0xffffffff, true, true>;

// The checksum is made with zeros where it stands itself.
bool is_sum_right(std::string_view header, std::size_t at) {
  constexpr std::string_view zeros("\0\0\0\0", 4);
  Crc32c sum;
  for (const std::string_view part : {header.substr(0, at), zeros, header.substr(at + zeros.size())})
    sum.process_bytes(part.data(), part.size());
  return sum.checksum() == (static_cast<std::uint32_t>(number_at(header, at)) << 16 | number_at(header, at + 2));
}

// Walks over TLVs; `use` gets each one's type and value, and says whether it can be. False: it cannot, or the lengths
// do not add up.
template <class Use>
bool for_each_tlv(std::string_view tlvs, Use use) {
  while (!tlvs.empty()) {
    if (tlvs.size() < tlv_begin) return false;
    const std::uint8_t type = byte_at(tlvs, 0);
    const std::size_t length = number_at(tlvs, 1);
    tlvs.remove_prefix(tlv_begin);
    if (length > tlvs.size() || !use(type, tlvs.substr(0, length))) return false;
    tlvs.remove_prefix(length);
  }
  return true;
}

// The TLVs that mean something here. Each of them once: of two, nobody knows which counts.
struct Tlvs {
  std::optional<std::uint8_t> ssl_client;
  std::optional<std::size_t> crc32c_at;  // offset in the header
};

std::optional<Tlvs> parse_tlvs(std::string_view header, std::string_view tlvs) {
  Tlvs found;
  const auto is_sound = [](std::uint8_t, std::string_view) { return true; };
  const bool adds_up = for_each_tlv(tlvs, [&](std::uint8_t type, std::string_view value) {
    if (type == tlv_crc32c) {
      if (value.size() != 4 || found.crc32c_at) return false;
      found.crc32c_at = static_cast<std::size_t>(value.data() - header.data());
    } else if (type == tlv_ssl) {
      if (value.size() < ssl_fixed || found.ssl_client) return false;
      found.ssl_client = byte_at(value, 0);
      return for_each_tlv(value.substr(ssl_fixed), is_sound);
    }
    return true;
  });
  if (!adds_up) return std::nullopt;
  return found;
}

// `header`: all of it, with command PROXY.
ProxyHeader read_v2_proxied(std::string_view header) {
  enum Family : std::uint8_t { unspecified, inet, inet6, unix_path };
  const std::uint8_t family = byte_at(header, 13) >> 4, transport = byte_at(header, 13) & 15;
  // Without a family or a transport the proxy does not know, and how long its addresses are nobody does.
  if (family == unspecified || transport == 0) return complete(header.size(), {});

  std::string_view rest = header.substr(v2_fixed);
  ProxiedEnds ends;
  const std::size_t addresses = family == inet ? 12 : family == inet6 ? 36 : 216;
  if (rest.size() < addresses) return refused(RefusalReason::proxy_addresses);
  if (family == unix_path) {
    rest.remove_prefix(addresses);
  } else {
    ends.has_addresses = true;
    if (family == inet) {
      ends.client = IpAddress::from_ipv4(take<4>(rest));
      ends.server = IpAddress::from_ipv4(take<4>(rest));
    } else {
      ends.client = IpAddress::from_ipv6(take<16>(rest));
      ends.server = IpAddress::from_ipv6(take<16>(rest));
    }
    ends.client_port = take_number(rest);
    ends.server_port = take_number(rest);
  }

  const auto tlvs = parse_tlvs(header, rest);
  if (!tlvs) return refused(RefusalReason::proxy_tlvs);
  if (tlvs->crc32c_at && !is_sum_right(header, *tlvs->crc32c_at)) return refused(RefusalReason::proxy_checksum);
  ends.is_tls = tlvs->ssl_client && (*tlvs->ssl_client & ssl_client_came_by_tls) != 0;
  return complete(header.size(), ends);
}

ProxyHeader read_v2(std::string_view bytes) {
  enum Command : std::uint8_t { local, proxy };
  if (!begins_alike(bytes, v2_begin)) return refused(RefusalReason::no_proxy_header);
  if (bytes.size() <= 12) return {};
  if (byte_at(bytes, 12) >> 4 != 2) return refused(RefusalReason::proxy_version);
  const std::uint8_t command = byte_at(bytes, 12) & 15;
  if (command > proxy) return refused(RefusalReason::proxy_command);
  if (bytes.size() <= 13) return {};
  const std::uint8_t family_and_transport = byte_at(bytes, 13);
  // With LOCAL the proxy speaks for itself (a health check), and what else it says is to be passed over.
  if (command == proxy && (family_and_transport >> 4 > 3 || (family_and_transport & 15) > 2)) {
    return refused(RefusalReason::proxy_family);
  }
  if (bytes.size() < v2_fixed) return {};
  const std::size_t rest = number_at(bytes, 14);
  if (rest > longest_rest) return refused(RefusalReason::proxy_header_too_long);
  if (bytes.size() < v2_fixed + rest) return {};
  if (command == local) return complete(v2_fixed + rest, {});
  return read_v2_proxied(bytes.substr(0, v2_fixed + rest));
}

}  // namespace

ProxyHeader read_proxy_header(std::string_view bytes) {
  if (bytes.empty()) return {};
  return bytes.front() == v2_begin.front() ? read_v2(bytes) : read_v1(bytes);
}

std::uint32_t crc32c(std::string_view bytes) {
  Crc32c sum;
  sum.process_bytes(bytes.data(), bytes.size());
  return sum.checksum();
}

}  // namespace stint::http
