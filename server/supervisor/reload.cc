#include "server/supervisor/reload.h"

#include <algorithm>

namespace stint::supervisor {

Reload::Decision Reload::next(const ComingView& coming, TimePoint now) {
  using Kind = Decision::Kind;
  // Also while the rest starts: canaries go on serving.
  if (has_served_canaries_ && coming.server_errors > settings_.canary.max_errors) {
    return {Kind::roll_back, std::to_string(coming.server_errors) + " of the canary's " +
                                 std::to_string(coming.requests) + " answers were 5xx"};
  }
  if (has_served_canaries_ && !coming.lost.empty()) return {Kind::roll_back, "a canary is lost: " + coming.lost};
  const bool is_complete =
      coming.is_ready.size() >= wanted_ &&
      std::all_of(coming.is_ready.begin(), coming.is_ready.begin() + wanted_, [](bool is) { return is; });
  switch (phase_) {
    case Phase::starting:
      if (!is_complete) return {};
      phase_ = Phase::settling;
      settled_at_ = now + settings_.settle;
      [[fallthrough]];
    case Phase::settling:
      if (!is_complete) {
        phase_ = Phase::starting;
        return {};
      }
      if (now < settled_at_) return {};
      if (!has_canary() || has_served_canaries_) return {Kind::take_over, {}};
      phase_ = Phase::canary;
      has_served_canaries_ = true;
      return {Kind::serve_canaries, {}};
    case Phase::canary:
      if (coming.requests < settings_.canary.requests) return {};
      wanted_ = beside_;
      phase_ = Phase::starting;
      return {};
  }
  return {};
}

std::string_view text_of(Reload::Phase phase) {
  switch (phase) {
    case Reload::Phase::starting:
      return "starting";
    case Reload::Phase::settling:
      return "settling";
    case Reload::Phase::canary:
      return "canary";
  }
  return "";
}

}  // namespace stint::supervisor
