#include "config/listen_text.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace stint::config {
namespace {

// inet_pton and back, so that two spellings of one address become one.
std::optional<std::string> canonical_host(int family, const std::string& host) {
  unsigned char address[sizeof(in6_addr)];
  char text[INET6_ADDRSTRLEN];
  if (inet_pton(family, host.c_str(), address) != 1) return std::nullopt;
  if (!inet_ntop(family, address, text, sizeof text)) return std::nullopt;
  return std::string(text);
}

Error not_an_address(std::string_view text, const std::string& hint = {}) {
  return error_because("'" + std::string(text) + "' is no listen address; " +
                       (hint.empty() ? "write 127.0.0.1:8000, [::1]:8000 or unix:/path/to.sock" : hint));
}

Result<ListenAddress> parse_unix(std::string_view text, const std::string& folder) {
  const std::string_view path = text.substr(std::string_view("unix:").size());
  if (path.empty()) return not_an_address(text, "it names no path: unix:/run/stint/site.sock");
  if (path.ends_with('/')) return not_an_address(text, "its path is a folder");
  ListenAddress address{ListenAddress::Family::unix_path, {}, 0, absolute_path(path, folder)};
  if (address.path.size() > longest_socket_path)
    return error_because("the path of a unix socket can have " + std::to_string(longest_socket_path) + " bytes, and '" +
                         address.path + "' has " + std::to_string(address.path.size()));
  return address;
}

// What systemd takes as FileDescriptorName= (systemd.socket(5)).
bool is_socket_name(std::string_view name) {
  constexpr std::size_t longest = 255;
  return !name.empty() && name.size() <= longest &&
         std::ranges::all_of(name, [](char c) { return c >= ' ' && c <= '~' && c != ':'; });
}

Result<ListenAddress> parse_inherited(std::string_view text) {
  const auto colon = text.find(':');
  ListenAddress address{.family = ListenAddress::Family::inherited};
  if (colon == text.npos) return address;
  address.name = text.substr(colon + 1);
  if (!is_socket_name(address.name))
    return not_an_address(text,
                          "write 'systemd:NAME' with a FileDescriptorName of the .socket unit, or 'systemd' for "
                          "all its sockets");
  return address;
}

}  // namespace

std::string absolute_path(std::string_view path, const std::string& folder) {
  std::string whole = path.starts_with('/') ? std::string() : absolute_path(folder, "/");
  if (whole == "/") whole.clear();
  while (!path.empty()) {
    const std::string_view part = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(part.size() + 1, path.size()));
    if (!part.empty() && part != ".") whole.append("/").append(part);
  }
  return whole.empty() ? "/" : whole;
}

Result<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || read.ec != std::errc{} || read.ptr != text.data() + text.size())
    return error_because("'" + std::string(text) + "' is no port; a port is a number from 0 to 65535");
  return port;
}

Result<ListenAddress> parse_listen_address(std::string_view text, const std::string& folder) {
  if (text.starts_with("unix:")) return parse_unix(text, folder);
  if (text == "systemd" || text.starts_with("systemd:")) return parse_inherited(text);
  if (text.starts_with("fd:") || text.starts_with("fd@"))
    return not_an_address(text, "sockets of a service manager are 'systemd' or 'systemd:NAME'");
  if (text.starts_with('/')) return not_an_address(text, "did you mean 'unix:" + std::string(text) + "'?");
  for (const std::string_view scheme : {"http://", "https://", "tcp://"})
    if (text.starts_with(scheme)) return not_an_address(text, "write it without '" + std::string(scheme) + "'");

  const auto colon = text.rfind(':');
  if (colon == text.npos) {
    if (parse_port(text).has_value())
      return not_an_address(text, "did you mean '127.0.0.1:" + std::string(text) + "'?");
    if (canonical_host(AF_INET, std::string(text))) return not_an_address(text, "it names no port");
    return not_an_address(text);
  }
  std::string host(text.substr(0, colon));
  const std::string port_text(text.substr(colon + 1));
  const bool is_bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (canonical_host(AF_INET6, std::string(text)) || (text.starts_with('[') && text.ends_with(']')))
    return not_an_address(text, "an IPv6 address is written with brackets and a port: [::1]:8000");
  if (!is_bracketed && canonical_host(AF_INET6, host))
    return not_an_address(text, "did you mean '[" + host + "]:" + port_text + "'?");
  if (host.empty() || host == "*") return not_an_address(text, "for every address write '0.0.0.0:" + port_text + "'");
  if (host == "localhost") return not_an_address(text, "did you mean '127.0.0.1:" + port_text + "'?");
  if (is_bracketed) host = host.substr(1, host.size() - 2);

  const auto canonical = canonical_host(is_bracketed ? AF_INET6 : AF_INET, host);
  if (!canonical) return not_an_address(text);
  const auto port = parse_port(port_text);
  if (!port.has_value()) return not_an_address(text, port.error().doing);
  return ListenAddress{is_bracketed ? ListenAddress::Family::ipv6 : ListenAddress::Family::ipv4, *canonical, *port, {}};
}

}  // namespace stint::config
