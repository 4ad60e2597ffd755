#include "server/supervisor/restart_backoff.h"

#include <algorithm>

namespace stint::supervisor {

namespace {

using namespace std::chrono_literals;
constexpr Duration first_delay = 100ms;
constexpr Duration longest_delay = 30s;
constexpr unsigned enough_doublings = 9;  // 0.1 s · 2^9 is beyond the longest delay

}  // namespace

Restart restart_after(unsigned failures_before, bool has_served) {
  if (has_served) return {};
  const unsigned before = std::min(failures_before, enough_doublings);
  return {before + 1, std::min(first_delay * (1 << before), longest_delay)};
}

}  // namespace stint::supervisor
