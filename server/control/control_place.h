// Where a server's socket for its operator is when the settings name none: a folder that only the server's user can
// write to, so that nobody else can put a socket there.
#pragma once

#include "stint/result.h"

#include <sys/types.h>

#include <string>

namespace stint::control {

// root: /run/stint/control.sock, whatever the environment says, because a service and a login shell differ in it;
// others: $XDG_RUNTIME_DIR/stint/control.sock, or else /tmp/stint-UID/control.sock.
std::string default_control_path();

// The folder of `path`, made with mode 0700 when missing (its own parent has to be there).
Result<void> make_control_folder(const std::string& path);
// Error when the folder of `path` belongs to somebody else, is a link, or others may write to it.
Result<void> check_control_folder(const std::string& path);

}  // namespace stint::control
