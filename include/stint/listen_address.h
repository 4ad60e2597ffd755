// Where to listen, as written in `listen = [...]`: "127.0.0.1:8000", "[::1]:8000", "0.0.0.0:80" or
// "unix:/run/stint/site.sock". Port 0: the kernel chooses one.
#pragma once

#include <cstdint>
#include <string>

namespace stint {

struct ListenAddress {
  enum class Family { ipv4, ipv6, unix_path };
  Family family = Family::ipv4;
  std::string host;        // a numeric address, without brackets; empty for unix_path
  std::uint16_t port = 0;  // 0 for unix_path
  std::string path;        // unix_path only: absolute

  bool operator==(const ListenAddress&) const = default;

  // As written in the TOML; parsing this text gives the same address.
  [[nodiscard]] std::string text() const {
    if (family == Family::unix_path) return "unix:" + path;
    return (family == Family::ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
  }
};

}  // namespace stint
