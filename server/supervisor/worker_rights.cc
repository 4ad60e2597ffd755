#include "server/supervisor/worker_rights.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>

namespace stint::supervisor {

namespace {

// In the order in which they are taken.
enum class Step { exec, limit, nice, groups, group, capabilities, user, check };

// Step, errno and which limit, in the one number that a child can tell.
constexpr int errno_bits = 16;
constexpr int step_bits = 8;

int failure(Step step, int error, std::size_t which = 0) {
  return error | static_cast<int>(step) << errno_bits | static_cast<int>(which) << (errno_bits + step_bits);
}

bool is_limited(const WorkerLimit& limit) {
  const rlimit wanted{limit.value, limit.value};
  rlimit got{};
  return ::setrlimit(static_cast<__rlimit_resource>(limit.resource), &wanted) == 0 &&
         ::getrlimit(static_cast<__rlimit_resource>(limit.resource), &got) == 0 && got.rlim_cur == limit.value &&
         got.rlim_max == limit.value;
}

bool is_niced(int by) {
  errno = 0;
  const int before = ::getpriority(PRIO_PROCESS, 0);  // -1 may be one
  if (errno != 0) return false;
  const int wanted = std::clamp(before + by, -20, 19);
  return ::setpriority(PRIO_PROCESS, 0, wanted) == 0 && ::getpriority(PRIO_PROCESS, 0) == wanted;
}

using CapabilitySets = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

bool has_dropped_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  CapabilitySets none{};
  // The kernel does nearly all of it with the user ids, unless a securebit of whoever started us keeps it from that.
  if (::prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0 || ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 ||
      ::syscall(SYS_capset, &header, none.data()) != 0 || ::syscall(SYS_capget, &header, none.data()) != 0)
    return false;
  errno = EPERM;
  return std::ranges::all_of(none,
                             [](const auto& set) { return (set.permitted | set.effective | set.inheritable) == 0; });
}

// On the stack, because a child between fork and exec allocates nothing.
bool has_groups(const std::vector<gid_t>& wanted) {
  std::array<gid_t, 65536> groups;  // NGROUPS_MAX of the kernel
  const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
  if (count < 0) return false;
  std::sort(groups.begin(), groups.begin() + count);
  return std::equal(groups.begin(), groups.begin() + count, wanted.begin(), wanted.end());
}

bool is_only(const Account& account, bool is_changed) {
  uid_t real = 0, effective = 0, saved = 0;
  if (::getresuid(&real, &effective, &saved) != 0 || real != account.uid || effective != account.uid ||
      saved != account.uid)
    return false;
  gid_t real_group = 0, effective_group = 0, saved_group = 0;
  if (is_changed && (::getresgid(&real_group, &effective_group, &saved_group) != 0 || real_group != account.gid ||
                     effective_group != account.gid || saved_group != account.gid || !has_groups(account.groups)))
    return false;
  return ::setuid(0) != 0 && ::seteuid(0) != 0;
}

int become(const Account& account) {
  // Whoever is not root has been found to be that user already (config), and its groups are what it was started with.
  const bool changes = ::geteuid() == 0;
  if (changes) {
    if (::setgroups(account.groups.size(), account.groups.data()) != 0) return failure(Step::groups, errno);
    if (::setresgid(account.gid, account.gid, account.gid) != 0) return failure(Step::group, errno);
    if (::setresuid(account.uid, account.uid, account.uid) != 0) return failure(Step::user, errno);
  }
  if (!has_dropped_capabilities()) return failure(Step::capabilities, errno);
  return is_only(account, changes) ? 0 : failure(Step::check, EPERM);
}

}  // namespace

WorkerRights rights_of(const AppSettings& app) {
  WorkerRights rights{app.account, {}, app.nice, std::nullopt};
  if (app.umask) rights.umask = static_cast<mode_t>(*app.umask);
  const auto add = [&rights](const char* key, int resource, const std::optional<std::uint64_t>& value) {
    if (!value) return;
    rights.limits.push_back(
        {key, resource, *value == LimitsSettings::unlimited ? RLIM_INFINITY : static_cast<rlim_t>(*value)});
  };
  add("app.limits.memory", RLIMIT_AS, app.limits.memory);
  add("app.limits.open_files", RLIMIT_NOFILE, app.limits.open_files);
  add("app.limits.processes", RLIMIT_NPROC, app.limits.processes);
  add("app.limits.core", RLIMIT_CORE, app.limits.core);
  return rights;
}

std::optional<gid_t> socket_group_of(const AppSettings& app) {
  return app.account ? std::optional(app.account->gid) : std::nullopt;
}

std::map<std::string, std::string> environment_of(const AppSettings& app) {
  std::map<std::string, std::string> environment = app.env;
  if (!app.account) return environment;
  const auto add = [&environment](const char* name, const std::string& value) {
    environment.emplace(name, value);  // what [app] env has set stays
  };
  add("HOME", app.account->home.empty() ? "/" : app.account->home);
  const std::string name = app.account->name.empty() ? std::to_string(app.account->uid) : app.account->name;
  add("USER", name);
  add("LOGNAME", name);
  add("SHELL", app.account->shell.empty() ? "/bin/sh" : app.account->shell);
  return environment;
}

int take_up(const WorkerRights& rights) {
  // First what may take root: a hard limit that rises, a niceness that falls.
  for (std::size_t i = 0; i < rights.limits.size(); ++i)
    if (!is_limited(rights.limits[i])) return failure(Step::limit, errno, i);
  if (rights.nice != 0 && !is_niced(rights.nice)) return failure(Step::nice, errno);
  if (rights.umask) ::umask(*rights.umask);
  return rights.account ? become(*rights.account) : 0;
}

Error error_of(int number, const WorkerRights& rights, const std::string& doing) {
  const int error = number & ((1 << errno_bits) - 1);
  const auto step = static_cast<Step>(number >> errno_bits & ((1 << step_bits) - 1));
  const auto which = static_cast<std::size_t>(number >> (errno_bits + step_bits));
  const std::string user = rights.account ? rights.account->text() : "";
  // The advice stands behind what the system says, in one sentence; is_transient() goes by the code.
  const auto advised = [&](const std::string& what, const std::string& advice) {
    return error_because(doing + ", step user: " + system_error(what, error).text() + "; " + advice);
  };
  const std::string root = "changing the user takes root, or CAP_SETUID, CAP_SETGID and CAP_SETPCAP";
  switch (step) {
    case Step::exec:
      if (error == EAGAIN &&
          std::ranges::find(rights.limits, RLIMIT_NPROC, &WorkerLimit::resource) != rights.limits.end())
        return system_error(doing + ", whose user may have as many processes as app.limits.processes lets it", error);
      if (!rights.account || error != EACCES) return system_error(doing, error);
      return advised("exec as " + user, "that user has to be able to execute Stint's file");
    case Step::limit:
      if (which >= rights.limits.size()) break;
      return advised("set " + std::string(rights.limits[which].key),
                     "only root may raise it over the hard limit that Stint was started with");
    case Step::nice:
      return advised("set app.nice", "only root may go below what Stint was started with");
    case Step::groups:
      return advised("set the groups of " + user, root);
    case Step::group:
      return advised("set the group of " + user, root);
    case Step::capabilities:
      return advised("drop the capabilities of root for " + user, "Stint starts no worker that keeps some");
    case Step::user:
      return advised("become " + user, root);
    case Step::check:
      return advised("become " + user, "what the kernel reports is not what was set, and no worker runs as another");
  }
  return system_error(doing, error);
}

}  // namespace stint::supervisor
