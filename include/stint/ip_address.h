// One IPv4 or IPv6 address, parsed. Both live in one space of 16 bytes, IPv4 at ::ffff:0:0/96 (RFC 4291 §2.5.5.2), so
// that 192.0.2.7 and ::ffff:192.0.2.7, which is how a dual-stack socket shows it, are the same address and print as
// "192.0.2.7". A value that copies and compares; trivially copyable.
#pragma once

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace stint {

class IpAddress {
 public:
  // The address in its canonical form (RFC 5952 as far as inet_ntop(3) goes), kept in place.
  class Text {
   public:
    Text() = default;
    [[nodiscard]] std::string_view view() const { return {bytes_.data(), size_}; }

   private:
    friend class IpAddress;
    std::array<char, INET6_ADDRSTRLEN> bytes_{};
    std::uint8_t size_ = 0;  // 0: no address
  };

  IpAddress() = default;  // "::"

  // As a packet has them.
  static IpAddress from_ipv4(std::span<const std::uint8_t, 4> bytes) {
    IpAddress address;
    address.bytes_[10] = address.bytes_[11] = 0xff;
    std::copy(bytes.begin(), bytes.end(), address.bytes_.begin() + 12);
    return address;
  }
  static IpAddress from_ipv6(std::span<const std::uint8_t, 16> bytes) {
    IpAddress address;
    std::copy(bytes.begin(), bytes.end(), address.bytes_.begin());
    return address;
  }

  // A dotted quad without leading zeros, or IPv6 without brackets and zone; nothing else.
  static std::optional<IpAddress> parse(std::string_view text) {
    char terminated[INET6_ADDRSTRLEN] = {};
    if (text.size() >= sizeof terminated || text.find('\0') != text.npos) return std::nullopt;
    std::copy(text.begin(), text.end(), terminated);
    std::array<std::uint8_t, 16> bytes;
    if (text.find(':') != text.npos) {
      if (inet_pton(AF_INET6, terminated, bytes.data()) != 1) return std::nullopt;
      return from_ipv6(bytes);
    }
    if (inet_pton(AF_INET, terminated, bytes.data()) != 1) return std::nullopt;
    return from_ipv4(std::span(bytes).first<4>());
  }

  [[nodiscard]] bool is_ipv4() const {
    constexpr std::array<std::uint8_t, 12> mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::equal(mapped.begin(), mapped.end(), bytes_.begin());
  }
  [[nodiscard]] const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }

  [[nodiscard]] Text text() const {
    Text text;
    if (is_ipv4()) {  // by hand: it is made once a request behind a proxy, and inet_ntop() goes by way of sprintf()
      char* at = text.bytes_.data();
      for (std::size_t i = 12; i < bytes_.size(); ++i) {
        if (i != 12) *at++ = '.';
        at = std::to_chars(at, text.bytes_.data() + text.bytes_.size(), bytes_[i]).ptr;
      }
      text.size_ = static_cast<std::uint8_t>(at - text.bytes_.data());
      return text;
    }
    // Cannot fail: the family is known and the buffer is long enough.
    inet_ntop(AF_INET6, bytes_.data(), text.bytes_.data(), text.bytes_.size());
    text.size_ = static_cast<std::uint8_t>(std::string_view(text.bytes_.data()).size());
    return text;
  }

  bool operator==(const IpAddress&) const = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
};

}  // namespace stint
