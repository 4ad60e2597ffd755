#include "server/control/command_socket.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>

namespace stint::control {

namespace {

constexpr std::size_t max_answer = 16 * 1024 * 1024;
constexpr timeval patience{.tv_sec = 10, .tv_usec = 0};

Result<ucred> peer_of(int connection) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
    return system_error("ask who is at the other end of the control socket");
  return peer;
}

Error no_server_at(const std::string& path, int error) {
  if (error == ENOENT || error == ECONNREFUSED)
    return error_because("no Stint server answers at " + path + "; is it running, and with this control socket?");
  return system_error("connect to " + path, error);
}

}  // namespace

Result<CommandSocket> CommandSocket::bind_at(const std::string& path, std::string notice) {
  const std::string doing = "control socket " + path;
  auto bound = net::bind_unix_socket(path, 0600, doing);
  if (!bound) return bound.error();
  if (::listen(bound->socket.get(), 16) != 0) return system_error(doing);
  return CommandSocket(std::move(*bound), path, std::move(notice));
}

Result<CommandSocket> CommandSocket::open(const std::string& configured) {
  if (configured.empty()) return open_at_default(default_control_path());
  if (auto made = make_control_folder(configured); !made) return made.error();
  return bind_at(configured, {});
}

Result<CommandSocket> CommandSocket::open_at_default(const std::string& default_path) {
  if (auto made = make_control_folder(default_path); !made) return made.error();
  if (auto checked = check_control_folder(default_path); !checked) return checked.error();
  auto opened = bind_at(default_path, {});
  if (opened || opened.error().code.value() != EADDRINUSE) return opened;

  const std::string folder = default_path.substr(0, default_path.rfind('/') + 1);
  const std::string own = folder + "control-" + std::to_string(::getpid()) + ".sock";
  return bind_at(own, "another server has the control socket " + default_path + "; this one's is " + own);
}

Result<void> check_operator(int connection) {
  const auto peer = peer_of(connection);
  if (!peer) return peer.error();
  if (peer->uid != 0 && peer->uid != ::geteuid())
    return error_because("user " + std::to_string(peer->uid) + " may not command this server");
  return {};
}

Result<std::string> ask(const std::string& path, std::string_view request) {
  const auto address = net::unix_address(path);
  if (!address) return system_error("connect to " + path, ENAMETOOLONG);
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return system_error("connect to " + path);
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
      ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0)
    return system_error("connect to " + path);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
    return no_server_at(path, errno);
  // In a folder that others can write to, the listener may be anybody's; root asks servers of all users.
  const auto peer = peer_of(socket.get());
  if (!peer) return peer.error();
  if (::geteuid() != 0 && peer->uid != 0 && peer->uid != ::geteuid())
    return error_because("the server at " + path + " belongs to another user");

  const std::string line = std::string(request) + "\n";
  for (std::size_t sent = 0; sent < line.size();) {
    const ssize_t count = ::send(socket.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    // A server that refuses us (another user's) closes at once; its reason is there to be read.
    if (count < 0 && (errno == EPIPE || errno == ECONNRESET)) break;
    if (count < 0) return system_error("send to the server at " + path);
    sent += static_cast<std::size_t>(count);
  }

  std::string answer;
  char piece[16 * 1024];
  while (answer.size() < max_answer) {
    const ssize_t count = ::recv(socket.get(), piece, sizeof piece, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return error_because("the server at " + path + " does not answer");
    if (count < 0 && errno != ECONNRESET) return system_error("read from the server at " + path);
    if (count <= 0) break;
    answer.append(piece, static_cast<std::size_t>(count));
    if (answer.back() == '\n') break;
  }
  if (answer.empty() || answer.back() != '\n')
    return error_because("the server at " + path + " closed the connection without an answer");
  answer.pop_back();
  return answer;
}

}  // namespace stint::control
