// app.user and app.group in the system's user database (/etc/passwd, LDAP, whatever nsswitch.conf(5) names). A
// directory service may take its time and loads libraries of its own, so this is asked when settings are checked, at
// the start and at a reload, and never when a worker starts.
#pragma once

#include "stint/account.h"
#include "stint/result.h"

#include <optional>
#include <string>

namespace stint::config {

// A user by name or number, with its groups, `gid` among them; nullopt: its primary group. The error continues a
// sentence that begins with the key's name: "names no user …".
Result<Account> find_user(const std::string& user, std::optional<gid_t> gid);

// A group by name or number; likewise.
Result<gid_t> find_group(const std::string& group);

}  // namespace stint::config
