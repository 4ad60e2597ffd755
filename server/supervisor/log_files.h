// Log files for workers that are not root. They open the files themselves, at their start and after each rotation, so
// the files have to be theirs; but /var/log is root's. Supervisor's thread, or main's before there is one.
#pragma once

#include "stint/account.h"
#include "stint/result.h"
#include "stint/settings.h"
#include "stint/unique_fd.h"

#include <optional>

namespace stint::supervisor {

// Both see to it that the user can write a file of [log], and make it where it is missing: as the user where the user
// may; else as root, for the user, but only in a folder that nobody except root can put somewhere else. A file that is
// there stays whose it is: giving it away would be a way to get at any file (CVE-2016-1247 was one).
//
// Error: the file and what to do. There is nothing to do without an account, or when we are not root.
Result<void> make_access_log(const LogSettings& settings, const std::optional<Account>& account);
// Returns the file, opened with the user's rights, for the supervisor's own lines: root that opens it by its name can
// be led to any file by a link. Not open where there is nothing to do, as for standard error.
Result<UniqueFd> make_error_log(const LogSettings& settings, const std::optional<Account>& account);

}  // namespace stint::supervisor
