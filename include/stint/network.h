// Whom `proxy.trusted` names: a network of IP addresses, one address, or "unix", the peers on unix sockets.
#pragma once

#include "stint/ip_address.h"

#include <charconv>
#include <optional>
#include <string>
#include <string_view>

namespace stint {

class Network {
 public:
  static Network unix_peers() {
    Network network;
    network.is_unix_ = true;
    return network;
  }

  // The network of `prefix` bits around `address`; what is right of them does not count. REQUIRES: prefix <= width.
  static Network around(const IpAddress& address, unsigned prefix) {
    std::array<std::uint8_t, 16> bytes = address.bytes();
    const unsigned kept = prefix + 128 - width_of(address);
    for (unsigned i = 0; i < bytes.size(); ++i) bytes[i] &= mask(kept, i);
    Network network;
    network.first_ = IpAddress::from_ipv6(bytes);
    network.prefix_ = prefix;
    return network;
  }

  // How many bits an address of this family has.
  static unsigned width_of(const IpAddress& address) { return address.is_ipv4() ? 32 : 128; }

  // "10.0.0.0/8", "2001:db8::/32", "127.0.0.1", "unix". Nothing for other texts, and where bits right of the prefix are
  // set: such a text means one address or another network, and nobody knows which.
  static std::optional<Network> parse(std::string_view text) {
    if (text == "unix") return unix_peers();
    const std::size_t slash = text.find('/');
    const auto address = IpAddress::parse(text.substr(0, slash));
    if (!address) return std::nullopt;
    unsigned prefix = width_of(*address);
    if (slash != text.npos) {
      const auto written = parse_prefix(text.substr(slash + 1));
      if (!written || *written > prefix_limit(text)) return std::nullopt;
      // An IPv4 address that was written as IPv6 has its prefix counted in IPv6's bits.
      const unsigned extra = prefix_limit(text) - prefix;
      if (*written < extra) return std::nullopt;
      prefix = *written - extra;
    }
    Network network = around(*address, prefix);
    if (network.first_ != *address) return std::nullopt;
    return network;
  }

  // 0 to 128, digits only.
  static std::optional<unsigned> parse_prefix(std::string_view text) {
    unsigned prefix = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), prefix);
    if (text.empty() || text.size() > 3 || read.ec != std::errc{} || read.ptr != text.data() + text.size() ||
        prefix > 128) {
      return std::nullopt;
    }
    return prefix;
  }

  [[nodiscard]] bool is_unix() const { return is_unix_; }

  // An IPv6 network holds no IPv4 address: "::/0" is every IPv6 peer, "0.0.0.0/0" every IPv4 peer.
  [[nodiscard]] bool contains(const IpAddress& address) const {
    if (is_unix_ || address.is_ipv4() != first_.is_ipv4()) return false;
    const unsigned kept = prefix_ + 128 - width_of(first_);
    for (unsigned i = 0; i < 16; ++i) {
      if (((address.bytes()[i] ^ first_.bytes()[i]) & mask(kept, i)) != 0) return false;
    }
    return true;
  }

  // As written in the TOML; parsing this text gives the same network.
  [[nodiscard]] std::string text() const {
    if (is_unix_) return "unix";
    std::string text(first_.text().view());
    if (prefix_ != width_of(first_)) text += "/" + std::to_string(prefix_);
    return text;
  }

  bool operator==(const Network&) const = default;

 private:
  // How far a written prefix can go.
  static unsigned prefix_limit(std::string_view text) { return text.find(':') == text.npos ? 32 : 128; }

  // The bits of byte `i` that are among the first `kept` of 16 bytes.
  static std::uint8_t mask(unsigned kept, unsigned i) {
    const unsigned before = i * 8;
    if (kept >= before + 8) return 0xff;
    return kept <= before ? 0 : static_cast<std::uint8_t>(0xff << (before + 8 - kept));
  }

  bool is_unix_ = false;
  IpAddress first_;
  unsigned prefix_ = 128;  // of the family's width
};

}  // namespace stint
