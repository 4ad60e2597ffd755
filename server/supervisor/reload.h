// One reload: a new generation starts beside the one that serves, and takes over only when all of it has shown that it
// can. A state machine without effects: the Pool tells what there is, does what it is told, and asks again after every
// event and tick.
//
//   starting ──canaries ready──> settling ──> canary ──enough good answers──> starting (the rest) ─┐
//      └──all ready (no canaries)──> settling ──────────────────────────────> take over <──────────┘
//   any of them ──a worker of the new generation fails, too many errors, a canary is lost──> rolled back
//
// Where not all fit into memory beside the old ones, as many as do show that the generation starts, and take over; the
// rest replaces the other old workers as recycling does, one after the other.
//
// Safety:   until the take-over no client sees the new generation, but for what canaries answer.
//           After a roll-back the old generation is as it was.
// Progress: starting ends by startup_timeout (a worker that is late fails the reload); settling by its time; canary
//           when the requests have come, or by another reload.
#pragma once

#include "stint/settings.h"
#include "stint/worker_report.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stint::supervisor {

// What the coming generation looks like now.
struct ComingView {
  std::vector<bool> is_ready;       // by slot, from slot 1 on; shorter than the count: no worker there yet
  std::uint64_t requests = 0;       // answered by canaries
  std::uint64_t server_errors = 0;  // of those with a status of 500 and more
  std::string lost;                 // why a canary can serve no more; empty: all can
};

class Reload {
 public:
  enum class Phase { starting, settling, canary };
  // What to do now.
  struct Decision {
    enum class Kind { wait, serve_canaries, take_over, roll_back } kind = Kind::wait;
    std::string why;  // roll_back
  };

  // `count`: slots of the coming generation; `beside`, at least 1: workers that fit beside the old ones.
  Reload(unsigned count, unsigned beside, const ReloadSettings& settings)
      : count_(count),
        beside_(std::min(count, beside)),
        settings_(settings),
        wanted_(has_canary() ? std::min(settings.canary.workers, beside_) : beside_) {}

  Decision next(const ComingView& coming, TimePoint now);

  // Slots 1… up to here are to be started.
  unsigned wanted() const { return wanted_; }
  unsigned beside() const { return beside_; }
  Phase phase() const { return phase_; }

 private:
  bool has_canary() const { return settings_.canary.workers > 0 && settings_.canary.workers < count_; }

  const unsigned count_;
  const unsigned beside_;
  const ReloadSettings settings_;
  unsigned wanted_;
  Phase phase_ = Phase::starting;
  TimePoint settled_at_{};
  bool has_served_canaries_ = false;
};

std::string_view text_of(Reload::Phase phase);

}  // namespace stint::supervisor
