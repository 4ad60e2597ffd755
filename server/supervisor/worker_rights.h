// Who a worker is and what it may take of the machine: user, groups, umask, niceness, limits.
//
// Taken up in the child between fork and exec, so that the worker is its user from its first instruction on: what
// [app] env makes the dynamic loader run (LD_PRELOAD, LD_LIBRARY_PATH) runs as the user, the keeper is cloned as the
// user, and because exec comes after it the process is an ordinary one of that user, which may be looked into by the
// user's own tools and may leave a core. Dropped at the beginning of the worker's role instead, all that would be
// root's for a moment. The price: that user has to be able to execute our file, and a failure is told to the
// supervisor as one number.
//
// No new privileges (prctl(2)) are not forbidden here: an application may send mail with a sendmail that is setgid.
// systemd's NoNewPrivileges= says it for a site that needs none.
#pragma once

#include "stint/account.h"
#include "stint/result.h"
#include "stint/settings.h"

#include <sys/resource.h>
#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace stint::supervisor {

struct WorkerLimit {
  const char* key;  // "app.limits.memory"
  int resource;     // RLIMIT_AS
  rlim_t value;
};

struct WorkerRights {
  std::optional<Account> account;  // nullopt: our own user, as it is
  std::vector<WorkerLimit> limits;
  int nice = 0;
  std::optional<mode_t> umask;
};

WorkerRights rights_of(const AppSettings& app);

// Whose the unix sockets are that these workers serve; nullopt: ours.
std::optional<gid_t> socket_group_of(const AppSettings& app);

// The environment laid over ours: the user's HOME, USER, LOGNAME and SHELL, and over them [app] env.
std::map<std::string, std::string> environment_of(const AppSettings& app);

// In a child that has one thread and is about to exec: takes the rights up for good, reads all back, and has root
// refused. Only system calls. 0, or a number for error_of(); then the child must not go on.
int take_up(const WorkerRights& rights);

// In the parent, of what take_up() returned or of the errno of the exec behind it: what failed and what to do.
Error error_of(int number, const WorkerRights& rights, const std::string& doing);

}  // namespace stint::supervisor
