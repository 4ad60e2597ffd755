// The operator's way to a running server: a unix socket of mode 0600 that takes one request and gives one answer, each
// one line of JSON, per connection. The supervisor has the serving end (and does the waiting with its own loop);
// `stint status` and its kin ask.
#pragma once

#include "server/control/control_place.h"
#include "server/net/unix_socket.h"
#include "stint/result.h"
#include "stint/unique_fd.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace stint::control {

class CommandSocket {
 public:
  // `configured` empty: the default place. An explicit path where a server answers is an error; at the default place
  // the socket is then control-PID.sock beside it, and notice() says so.
  static Result<CommandSocket> open(const std::string& configured);
  // The same with another default place, for tests.
  static Result<CommandSocket> open_at_default(const std::string& default_path);
  // The one that the program had which ran in this process before.
  CommandSocket(net::BoundSocket listening, std::string path)
      : CommandSocket(std::move(listening), std::move(path), {}) {}

  int fd() const { return socket_.get(); }  // listening, non-blocking
  const std::string& path() const { return path_; }
  std::optional<net::SocketFileId> file() const { return file_.id(); }
  const std::string& notice() const { return notice_; }  // empty, or what the operator has to know

 private:
  CommandSocket(net::BoundSocket bound, std::string path, std::string notice)
      : socket_(std::move(bound.socket)),
        file_(std::move(bound.file)),
        path_(std::move(path)),
        notice_(std::move(notice)) {}
  static Result<CommandSocket> bind_at(const std::string& path, std::string notice);

  UniqueFd socket_;
  net::SocketFile file_;
  std::string path_;
  std::string notice_;
};

// Whether the process at the other end may command this one: root or the same user, as the kernel says (SO_PEERCRED).
Result<void> check_operator(int connection);

// One request to the server at `path`; waits for its answer up to 10 seconds. Errors are sentences for the operator.
Result<std::string> ask(const std::string& path, std::string_view request);

}  // namespace stint::control
