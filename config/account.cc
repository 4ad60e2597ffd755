#include "config/account.h"

#include "config/toml_text.h"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>

namespace stint::config {
namespace {

// An id written as a number; the largest one means "unchanged" to the system calls, so it is nobody's.
std::optional<std::uint32_t> number_in(const std::string& text) {
  std::uint32_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc() || end != text.data() + text.size() || number == std::numeric_limits<std::uint32_t>::max())
    return std::nullopt;
  return number;
}

// One entry of the database; nullopt: there is none. The strings of the entry are in `buffer`.
template <class Entry, class Ask>
Result<std::optional<Entry>> entry_of(std::string& buffer, const std::string& text, Ask ask) {
  for (buffer.resize(4096); buffer.size() <= (1 << 24); buffer.resize(buffer.size() * 2)) {
    Entry entry{};
    Entry* found = nullptr;
    const int error = ask(entry, buffer, found);
    if (error == ERANGE) continue;
    if (error == 0 && found == nullptr) return std::optional<Entry>();
    if (error == 0) return std::optional(entry);
    // What getpwnam(3) lists for "not found", too.
    if (error == ENOENT || error == ESRCH || error == EBADF || error == EPERM) return std::optional<Entry>();
    return error_because("cannot be looked up: " + toml_string(text) + ": " + system_error("", error).code.message());
  }
  return error_because("cannot be looked up: " + toml_string(text) + " has too large an entry");
}

Result<std::optional<passwd>> passwd_of(std::string& buffer, const std::string& user) {
  return entry_of<passwd>(buffer, user, [&](passwd& entry, std::string& place, passwd*& found) {
    // A name of digits only is a name first, as for chown(1).
    const int error = ::getpwnam_r(user.c_str(), &entry, place.data(), place.size(), &found);
    const auto number = number_in(user);
    if (error == ERANGE || found != nullptr || !number) return error;
    return ::getpwuid_r(*number, &entry, place.data(), place.size(), &found);
  });
}

std::vector<gid_t> groups_of(const std::string& name, gid_t gid) {
  std::vector<gid_t> groups(64);
  int count = static_cast<int>(groups.size());
  while (::getgrouplist(name.c_str(), gid, groups.data(), &count) < 0) {
    count = std::max(count, 2 * static_cast<int>(groups.size()));
    groups.resize(static_cast<std::size_t>(count));
  }
  groups.resize(static_cast<std::size_t>(count));
  std::ranges::sort(groups);
  // No std::ranges::unique: Clang before 16 cannot read its result in libstdc++ 12.
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  return groups;
}

}  // namespace

Result<Account> find_user(const std::string& user, std::optional<gid_t> gid) {
  std::string buffer;
  const auto found = passwd_of(buffer, user);
  if (!found.has_value()) return found.error();
  if (*found) {
    const passwd& entry = **found;
    Account account{entry.pw_uid, gid.value_or(entry.pw_gid), {}, entry.pw_name, entry.pw_dir, entry.pw_shell};
    account.groups = groups_of(account.name, account.gid);
    return account;
  }
  // In a container a number is often all there is.
  const auto uid = number_in(user);
  if (!uid)
    return error_because("names no user of this machine: " + toml_string(user) +
                         "; make that user (useradd --system), or name another");
  if (!gid)
    return error_because("is a number that the user database does not know, " + toml_string(user) +
                         ", so its group is not known either: set 'app.group' as well");
  return Account{*uid, *gid, {*gid}, {}, {}, {}};
}

Result<gid_t> find_group(const std::string& group) {
  std::string buffer;
  const auto found = entry_of<::group>(buffer, group, [&](::group& entry, std::string& place, ::group*& which) {
    return ::getgrnam_r(group.c_str(), &entry, place.data(), place.size(), &which);
  });
  if (!found.has_value()) return found.error();
  if (*found) return (*found)->gr_gid;
  if (const auto gid = number_in(group)) return *gid;
  return error_because("names no group of this machine: " + toml_string(group) +
                       "; make that group (groupadd --system), or name another");
}

}  // namespace stint::config
