// Listen addresses as people write them.
#pragma once

#include "stint/listen_address.h"
#include "stint/result.h"

#include <string>
#include <string_view>

namespace stint::config {

// "127.0.0.1:8000", "[::1]:8000", "unix:PATH", "systemd" or "systemd:NAME"; a relative PATH begins at `folder`. The
// address comes out in its canonical form. The error says what is wrong with `text`, and what was probably meant.
Result<ListenAddress> parse_listen_address(std::string_view text, const std::string& folder);

// 0 to 65535, digits only.
Result<std::uint16_t> parse_port(std::string_view text);

// `path` from `folder` on, unless it is absolute; without "." parts and without a slash at the end. ".." stays, because
// what it means depends on symbolic links.
std::string absolute_path(std::string_view path, const std::string& folder);

// Of sockaddr_un, without the NUL at the end (unix(7)).
inline constexpr std::size_t longest_socket_path = 107;

}  // namespace stint::config
