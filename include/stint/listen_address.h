// Where to listen, as written in `listen = [...]`: "127.0.0.1:8000", "[::1]:8000", "0.0.0.0:80" or
// "unix:/run/stint/site.sock"; port 0: the kernel chooses one. "systemd" and "systemd:NAME" stand for sockets that the
// service manager has opened already; a listener made from one has the address it is bound to.
#pragma once

#include <cstdint>
#include <string>

namespace stint {

struct ListenAddress {
  enum class Family { ipv4, ipv6, unix_path, inherited };
  Family family = Family::ipv4;
  std::string host;        // a numeric address, without brackets; empty for unix_path
  std::uint16_t port = 0;  // 0 for unix_path
  std::string path;        // unix_path only: absolute, or "@name" of an abstract one (inherited only)
  std::string name;        // inherited only: those of this name; empty: all

  bool operator==(const ListenAddress&) const = default;

  // As written in the TOML; parsing this text gives the same address.
  [[nodiscard]] std::string text() const {
    if (family == Family::unix_path) return "unix:" + path;
    if (family == Family::inherited) return name.empty() ? "systemd" : "systemd:" + name;
    return (family == Family::ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
  }
};

}  // namespace stint
