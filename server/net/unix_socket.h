// Unix socket files: making one, and removing it again. Run by the supervisor, for its listeners and for the operator's
// socket.
#pragma once

#include "stint/result.h"
#include "stint/unique_fd.h"

#include <sys/types.h>
#include <sys/un.h>

#include <optional>
#include <string>
#include <utility>

namespace stint::net {

// Which file it is, so that another one in its place is not taken for it.
struct SocketFileId {
  std::string path;
  dev_t device = 0;
  ino_t inode = 0;
};

// A socket file that this process has made; removed with this object, if it is still the same file.
class SocketFile {
 public:
  SocketFile() = default;
  explicit SocketFile(std::string path);                              // REQUIRES: the file is there
  explicit SocketFile(SocketFileId known) : id_(std::move(known)) {}  // made by the program that ran here before
  SocketFile(SocketFile&& other) noexcept;
  SocketFile& operator=(SocketFile&& other) noexcept;
  ~SocketFile() { remove(); }

  std::optional<SocketFileId> id() const { return id_.path.empty() ? std::nullopt : std::optional(id_); }

 private:
  void remove() noexcept;

  SocketFileId id_;  // its path empty: nothing to remove
};

struct BoundSocket {
  UniqueFd socket;  // SOCK_STREAM, bound, not yet listening; non-blocking, close-on-exec
  SocketFile file;
};

// A file that nobody listens on is replaced; one that answers is an error with code EADDRINUSE, and so is a file of
// another kind (EEXIST). At no moment has the file more rights than `mode`. `doing` begins the errors' texts.
// `group`: the file's group; nullopt: ours.
Result<BoundSocket> bind_unix_socket(const std::string& path, mode_t mode, const std::string& doing,
                                     std::optional<gid_t> group = std::nullopt);

// nullopt: longer than a socket's address can be (107 bytes).
std::optional<sockaddr_un> unix_address(const std::string& path);

}  // namespace stint::net
