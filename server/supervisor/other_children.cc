#include "server/supervisor/other_children.h"

#include <sys/wait.h>

namespace stint::supervisor {

std::vector<EndedChild> reap_other_children(const std::function<bool(pid_t)>& is_worker) {
  std::vector<EndedChild> ended;
  siginfo_t info{};
  while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
    const pid_t pid = info.si_pid;
    if (is_worker(pid)) break;
    info = {};
    if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG) != 0) break;
    ended.push_back({pid, exit_status_of(info)});
    info = {};
  }
  return ended;
}

}  // namespace stint::supervisor
