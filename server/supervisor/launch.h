// Starts a program as a child and holds on to it by its pidfd, the same for workers, zygotes and the program of an
// upgrade. What happens between fork and exec is `setup`'s: an initializer of Boost.Process. Supervisor's thread.
#pragma once

#include "server/control/signals_blocked.h"
#include "stint/unique_fd.h"

#include <boost/asio/io_context.hpp>
#include <boost/process/v2/posix/default_launcher.hpp>
#include <boost/process/v2/process.hpp>

#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

namespace stint::supervisor {

// Our child until it is reaped.
struct LaunchedProcess {
  pid_t pid = -1;
  UniqueFd pidfd;
};

// The texts outlive what comes back; a null pointer ends it, as exec wants.
inline std::vector<const char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<const char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts) pointers.push_back(text.c_str());
  pointers.push_back(nullptr);
  return pointers;
}

// With `code` set nothing is left of the child. Errors are of fork, of `setup`, of exec, or of a descriptor for it.
template <class Setup>
LaunchedProcess launch(boost::asio::io_context& io, boost::system::error_code& code, const std::string& file,
                       Setup setup) {
  namespace process = boost::process::v2;
  process::posix::default_launcher launcher;
  try {
    const control::SignalsBlocked blocked;
    auto child = launcher(io.get_executor(), code, process::filesystem::path(file), std::vector<std::string>{},
                          std::move(setup));
    if (!code) child.detach();  // its destructor would kill the process
  } catch (const boost::system::system_error& error) {
    code = error.code();  // the launcher could not get a pidfd of its own
  }
  LaunchedProcess launched{launcher.pid, UniqueFd()};
  if (!code) {
    // Not yet reaped, so the pid is still this child's.
    launched.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, launcher.pid, 0)));
    if (!launched.pidfd.is_open()) code = {errno, boost::system::system_category()};
  }
  if (code && launcher.pid > 0) {
    ::kill(launcher.pid, SIGKILL);
    while (::waitpid(launcher.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  return launched;
}

}  // namespace stint::supervisor
