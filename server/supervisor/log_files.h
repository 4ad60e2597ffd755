// Log files for workers that are not root. They open the files themselves, at their start and after each rotation, so
// the files have to be theirs; but /var/log is root's. Supervisor's thread, or main's before there is one.
#pragma once

#include "stint/account.h"
#include "stint/result.h"
#include "stint/settings.h"
#include "stint/unique_fd.h"

#include <optional>

namespace stint::supervisor {

// Sees to it that the user can write the files of [log], and makes those that are missing: as the user where the user
// may; else as root, for the user, but only in a folder that nobody except root can put somewhere else. A file that is
// there stays whose it is: giving it away would be a way to get at any file (CVE-2016-1247 was one).
//
// Returns the file of log.error, opened with the user's rights, for the supervisor's own lines: root that opens it by
// its name can be led to any file by a link. Not open where there is nothing to do: without an account, when we are not
// root, or for standard error. Error: the file and what to do.
Result<UniqueFd> make_log_files(const LogSettings& settings, const std::optional<Account>& account);

}  // namespace stint::supervisor
