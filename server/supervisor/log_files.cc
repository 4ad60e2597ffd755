#include "server/supervisor/log_files.h"

#include "server/control/signals_blocked.h"
#include "server/supervisor/worker_rights.h"
#include "stint/unique_fd.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace stint::supervisor {

namespace {

constexpr mode_t log_mode = 0640;

// Opens the file as the user, in a child, because all of a process's ids are one another's business. 0 or an errno.
int open_as(const Account& account, const std::string& path) {
  const WorkerRights rights{account, {}, 0, std::nullopt};
  const control::SignalsBlocked blocked;
  const pid_t child = ::fork();
  if (child < 0) return errno;
  if (child == 0) {
    if (take_up(rights) != 0) ::_exit(EPERM);
    // Not blocking: a pipe whose reader has not come yet is none of our business.
    const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, log_mode);
    ::_exit(file >= 0 || errno == ENXIO ? 0 : errno);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return errno;
  return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

// The file's folder, when root alone decides what it is: each folder from the top on is root's, none is a symbolic
// link, and nobody else may write to it; above it, /tmp may be on the way, where others cannot rename what is root's.
// A group of root's choice may write to the folder itself (/var/log with syslog): we make a file that was not there,
// and give away the one that we have open.
UniqueFd open_roots_folder(const std::string& path) {
  UniqueFd folder(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (std::size_t begin = 1; folder.is_open();) {
    struct stat status{};
    const std::size_t end = path.find('/', begin);
    const bool is_last = end == std::string::npos;
    if (::fstat(folder.get(), &status) != 0 || status.st_uid != 0) return {};
    const bool is_for_others = (status.st_mode & (is_last ? S_IWOTH : S_IWGRP | S_IWOTH)) != 0;
    if (is_for_others && (is_last || (status.st_mode & S_ISVTX) == 0)) return {};
    if (is_last) break;
    const std::string name = path.substr(begin, end - begin);
    folder.reset(::openat(folder.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    begin = end + 1;
  }
  return folder;
}

bool is_made_for(const Account& account, const std::string& path) {
  const UniqueFd folder = open_roots_folder(path);
  if (!folder.is_open()) return false;
  const std::string name = path.substr(path.rfind('/') + 1);
  const UniqueFd file(
      ::openat(folder.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, log_mode));
  return file.is_open() && ::fchown(file.get(), account.uid, account.gid) == 0;
}

Result<void> make(const char* key, const std::string& path, const Account& account) {
  const int error = open_as(account, path);
  if (error == 0 || (error == EACCES && is_made_for(account, path) && open_as(account, path) == 0)) return {};
  return error_because("open " + std::string(key) + " " + path + " as " + account.text() + ": " +
                       system_error("", error).code.message() + "; that user has to be able to write the file");
}

}  // namespace

Result<void> make_log_files(const LogSettings& settings, const std::optional<Account>& account) {
  if (!account || ::geteuid() != 0) return {};
  for (const auto& [key, path] : {std::pair("log.error", settings.error), std::pair("log.access", settings.access)}) {
    if (path.empty() || path == "-") continue;
    if (auto made = make(key, path, *account); !made.has_value()) return made;
  }
  return {};
}

}  // namespace stint::supervisor
