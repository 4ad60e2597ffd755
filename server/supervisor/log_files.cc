#include "server/supervisor/log_files.h"

#include "server/control/signals_blocked.h"
#include "server/logging/log_file.h"
#include "server/net/descriptor_passing.h"
#include "server/supervisor/worker_rights.h"
#include "stint/unique_fd.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

namespace stint::supervisor {

namespace {

constexpr mode_t log_mode = 0640;

// Opens the file as the user, in a child, because all of a process's ids are one another's business. Its descriptor, or
// an error with a code.
Result<UniqueFd> open_as(const Account& account, const std::string& path, const std::string& doing) {
  const WorkerRights rights{account, {}, 0, std::nullopt};
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return system_error(doing);
  const UniqueFd ours(ends[0]);
  UniqueFd childs(ends[1]);
  int error = 0;
  iovec part{&error, sizeof error};

  const control::SignalsBlocked blocked;
  const pid_t child = ::fork();
  if (child < 0) return system_error(doing);
  if (child == 0) {
    const bool is_user = take_up(rights) == 0;
    const int file = is_user ? logging::open_for_lines(path.c_str()) : -1;
    error = file >= 0 ? 0 : is_user ? errno : EPERM;
    ::_exit(net::send_with_descriptors(childs.get(), {&part, 1}, {&file, file >= 0 ? 1U : 0U}));
  }
  childs.reset();
  std::vector<UniqueFd> files;
  const net::ReceivedMessage told = net::receive_with_descriptors(ours.get(), {&part, 1}, files);
  const int receiving = told.size < 0 ? errno : EINTR;
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (told.size != sizeof error) return system_error(doing, receiving);  // 0: it was killed
  if (error != 0 || files.empty()) return system_error(doing, error != 0 ? error : EMFILE);
  return std::move(files.front());
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

// Not open where there is nothing to do.
Result<UniqueFd> make(const std::string& key, const std::string& path, const std::optional<Account>& user) {
  if (!user || ::geteuid() != 0 || path.empty() || path == "-") return UniqueFd();
  const Account& account = *user;
  const std::string doing = "open " + key + " " + path + " as " + account.text();
  Result<UniqueFd> first = open_as(account, path, doing);
  if (first.has_value()) return first;
  if (first.error().code.value() == EACCES && is_made_for(account, path)) {
    Result<UniqueFd> second = open_as(account, path, doing);
    if (second.has_value()) return second;
  }
  if (first.error().code.value() != EACCES) return first;
  return error_because(first.error().text() + "; that user has to be able to write the file");
}

}  // namespace

Result<void> make_access_log(const LogSettings& settings, const std::optional<Account>& account) {
  const Result<UniqueFd> made = make("log.access", settings.access, account);
  return made.has_value() ? Result<void>() : made.error();
}

Result<UniqueFd> make_error_log(const LogSettings& settings, const std::optional<Account>& account) {
  return make("log.error", settings.error, account);
}

}  // namespace stint::supervisor
