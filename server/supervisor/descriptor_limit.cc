#include "server/supervisor/descriptor_limit.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <optional>

namespace stint::supervisor {

namespace {

constexpr rlim_t enough = 65536;  // app.workers.count is 1024 at most

std::optional<rlim_t> former;  // the soft limit, while it is raised

}  // namespace

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = std::min(limit.rlim_max, enough);
  if (limit.rlim_cur >= wanted) return;
  const rlimit raised{wanted, limit.rlim_max};
  if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) former = limit.rlim_cur;
}

int restore_descriptor_limit() {
  rlimit limit{};
  if (!former) return 0;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return errno;
  limit.rlim_cur = std::min(*former, limit.rlim_max);  // an administrator may have changed the hard one meanwhile
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? 0 : errno;
}

}  // namespace stint::supervisor
