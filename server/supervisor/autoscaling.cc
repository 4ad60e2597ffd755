#include "server/supervisor/autoscaling.h"

#include <algorithm>

namespace stint::supervisor {

void Autoscaling::note(unsigned count, const PoolLoad& load, TimePoint now) {
  if (count != count_) {
    count_ = count;
    short_since_.reset();
    spare_since_.reset();
  }
  const auto keep = [now](std::optional<TimePoint>& since, bool holds) {
    if (!holds) since.reset();
    if (holds && !since) since = now;
  };
  const bool is_complete = load.ready >= count;
  keep(short_since_, is_complete && (load.busy >= load.ready || load.waiting > 0));
  keep(spare_since_, is_complete && load.busy + 1 < load.ready && load.waiting == 0);
}

unsigned Autoscaling::wanted_count(const WorkersSettings& settings, unsigned count, TimePoint now) {
  is_held_ = false;
  const unsigned least = std::max(settings.count, 1U);
  const unsigned most = std::max(settings.max_count, least);
  if (count < least || count > most) return std::clamp(count, least, most);
  if (short_since_ && now - *short_since_ >= grow_after && count < most) return count + 1;
  if (spare_since_ && now - *spare_since_ >= settings.shrink_after && count > least) return count - 1;
  return count;
}

}  // namespace stint::supervisor
