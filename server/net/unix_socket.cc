#include "server/net/unix_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace stint::net {

namespace {

enum class Occupant { nobody, a_server, no_socket };

// Who has the path, asked by connecting: a file whose server died without removing it refuses.
Occupant occupant_of(const std::string& path, const sockaddr_un& address) {
  struct stat file{};
  if (::lstat(path.c_str(), &file) != 0) return Occupant::nobody;
  if (!S_ISSOCK(file.st_mode)) return Occupant::no_socket;
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.is_open()) return Occupant::a_server;  // not known: leave it alone
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
    return Occupant::a_server;
  return errno == ECONNREFUSED || errno == ENOENT ? Occupant::nobody : Occupant::a_server;
}

// By descriptor, because whoever may write to the folder can put another file into the socket's place at any time.
Result<void> give_rights(const std::string& path, mode_t mode, std::optional<gid_t> group, const std::string& doing) {
  const UniqueFd file(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status{};
  if (!file.is_open() || ::fstat(file.get(), &status) != 0) return system_error(doing);
  if (!S_ISSOCK(status.st_mode)) return system_error(doing, EEXIST);
  if (group && ::fchownat(file.get(), "", static_cast<uid_t>(-1), *group, AT_EMPTY_PATH) != 0)
    return system_error(doing + " for group " + std::to_string(*group));
  // What the umask took away; fchmod(2) refuses a descriptor of this kind.
  if (::chmod(("/proc/self/fd/" + std::to_string(file.get())).c_str(), mode) != 0) return system_error(doing);
  return {};
}

}  // namespace

SocketFile::SocketFile(std::string path) {
  struct stat file{};
  if (::lstat(path.c_str(), &file) == 0) id_ = {std::move(path), file.st_dev, file.st_ino};
}

SocketFile::SocketFile(SocketFile&& other) noexcept : id_(std::exchange(other.id_, {})) {}

SocketFile& SocketFile::operator=(SocketFile&& other) noexcept {
  if (this != &other) {
    remove();
    id_ = std::exchange(other.id_, {});
  }
  return *this;
}

void SocketFile::remove() noexcept {
  if (id_.path.empty()) return;
  // Another server may have found ours dead and made its own file there; that one stays.
  struct stat file{};
  if (::lstat(id_.path.c_str(), &file) == 0 && file.st_dev == id_.device && file.st_ino == id_.inode)
    ::unlink(id_.path.c_str());
  id_ = {};
}

std::optional<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) return std::nullopt;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Result<BoundSocket> bind_unix_socket(const std::string& path, mode_t mode, const std::string& doing,
                                     std::optional<gid_t> group) {
  const auto address = unix_address(path);
  if (!address) return system_error(doing, ENAMETOOLONG);
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) return system_error(doing);
  // On Linux bind(2) gives the file the socket's own mode, less the umask; so it never has more rights than it may.
  if (::fchmod(socket.get(), mode) != 0) return system_error(doing);

  const auto* name = reinterpret_cast<const sockaddr*>(&*address);
  if (::bind(socket.get(), name, sizeof *address) != 0) {
    if (errno != EADDRINUSE) return system_error(doing);
    switch (occupant_of(path, *address)) {
      case Occupant::a_server:
        return system_error(doing, EADDRINUSE);
      case Occupant::no_socket:
        return system_error(doing, EEXIST);
      case Occupant::nobody:
        break;
    }
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return system_error(doing);
    if (::bind(socket.get(), name, sizeof *address) != 0) return system_error(doing);
  }
  BoundSocket bound{std::move(socket), SocketFile(path)};
  if (auto given = give_rights(path, mode, group, doing); !given) return given.error();
  return bound;
}

}  // namespace stint::net
