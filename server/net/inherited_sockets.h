// Sockets that a service manager opened before it started us: sd_listen_fds(3). They are the descriptors from 3 on, and
// three variables tell of them: LISTEN_PID for whom they are, LISTEN_FDS how many, LISTEN_FDNAMES their names
// ("web:admin"). Run by the supervisor at its start. The protocol is these three variables, documented and promised to
// stay, so there is no libsystemd here; supervisor/service_manager.h says more.
#pragma once

#include "server/net/listener.h"
#include "stint/listen_address.h"
#include "stint/result.h"
#include "stint/unique_fd.h"

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace stint::net {

inline constexpr int first_passed_fd = 3;  // SD_LISTEN_FDS_START

struct ListenVariables {
  std::optional<std::string> pid;    // LISTEN_PID
  std::optional<std::string> fds;    // LISTEN_FDS
  std::optional<std::string> names;  // LISTEN_FDNAMES
};

// The name of each descriptor, from the first on; none when there are no variables or they are for another process than
// `own_pid`: a shell between the manager and us may have left them behind. Without LISTEN_FDNAMES all are "unknown", as
// systemd calls a socket without a name.
Result<std::vector<std::string>> names_of_passed_sockets(const ListenVariables& variables, pid_t own_pid);

class InheritedSockets {
 public:
  // Takes the descriptors over, sets close-on-exec on each, and removes the variables from the environment: no child of
  // ours shall think they are for it. Once a process, while it has one thread, before other descriptors are opened.
  static Result<InheritedSockets> take_from_environment();

  // Those with this name, or with any when it is empty, as listeners with the addresses they are bound to. Their socket
  // files are not ours to remove. Each socket can be taken once. Errors say what there is.
  Result<std::vector<Listener>> take(const std::string& name);

  std::string names_left() const;  // "admin, metrics": of those that nobody took

 private:
  struct Passed {
    std::string name;
    UniqueFd socket;  // closed when it was taken
  };
  std::vector<Passed> sockets_;
  std::string why_none_;
};

// One listener, or for an inherited address each socket it stands for. `group`: see open_listener().
Result<std::vector<Listener>> open_listeners(const ListenAddress& address, std::optional<gid_t> group,
                                             InheritedSockets& inherited);

}  // namespace stint::net
