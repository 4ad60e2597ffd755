// Unix socket files: making one, and removing it again. Run by the supervisor, for its listeners and for the operator's
// socket.
#pragma once

#include "stint/result.h"
#include "stint/unique_fd.h"

#include <sys/types.h>
#include <sys/un.h>

#include <optional>
#include <string>

namespace stint::net {

// A socket file that this process has made; removed with this object, if it is still the same file.
class SocketFile {
 public:
  SocketFile() = default;
  explicit SocketFile(std::string path);  // REQUIRES: the file is there
  SocketFile(SocketFile&& other) noexcept;
  SocketFile& operator=(SocketFile&& other) noexcept;
  ~SocketFile() { remove(); }

 private:
  void remove() noexcept;

  std::string path_;  // empty: nothing to remove
  dev_t device_ = 0;
  ino_t inode_ = 0;
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
