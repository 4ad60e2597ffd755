#include "server/zygote/orphan.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace stint::zygote {

namespace {

// In the worker: the kernel gives orphans away before it tells those who wait for the end.
void wait_for_end(int go_between) {
  pollfd end{.fd = go_between, .events = POLLIN, .revents = 0};
  while (::poll(&end, 1, -1) < 0 && errno == EINTR) {
  }
  ::close(go_between);
}

// In the go-between: returns in the worker only.
void fork_and_end() {
  const int self = static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0));
  if (self < 0) ::_exit(errno);
  const pid_t worker = ::fork();
  if (worker != 0) ::_exit(worker < 0 ? errno : 0);
  wait_for_end(self);
}

}  // namespace

pid_t fork_orphan() {
  const pid_t go_between = ::_Fork();
  if (go_between < 0) return -1;
  if (go_between == 0) {
    fork_and_end();
    return 0;
  }
  int status = 0;
  while (::waitpid(go_between, &status, 0) < 0) {
    // An application that ignores SIGCHLD has the kernel reap it. How it ended shows then on the worker's channel.
    if (errno != EINTR) return go_between;
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return go_between;
  errno = WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
  return -1;
}

}  // namespace stint::zygote
