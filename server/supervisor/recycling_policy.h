// When a worker has served long enough. Pure; asked by the Pool for every ready worker, twenty times a second.
#pragma once

#include "stint/settings.h"
#include "stint/worker_report.h"

#include <array>
#include <optional>
#include <string_view>

namespace stint::supervisor {

// Why a worker is replaced: the first by the settings' limits, then by its own wish, the operator's, a reload, or
// because its keeper has died and nobody would rescue its connections, because all together need too much memory and
// it needs most, because one of its threads is lost to a call that has timed out, or for a zygote that is warmer.
enum class RecycleReason {
  max_requests,
  max_rss,
  max_age,
  max_fds,
  max_threads,
  worker_asked,
  operator_asked,
  reload,
  keeper_lost,
  memory_budget,
  request_timeout,
  refork_after
};
inline constexpr std::array all_recycle_reasons{
    RecycleReason::max_requests,   RecycleReason::max_rss,         RecycleReason::max_age,
    RecycleReason::max_fds,        RecycleReason::max_threads,     RecycleReason::worker_asked,
    RecycleReason::operator_asked, RecycleReason::reload,          RecycleReason::keeper_lost,
    RecycleReason::memory_budget,  RecycleReason::request_timeout, RecycleReason::refork_after};

// A worker that is replaced for this serves on as well as any until then.
bool can_wait(RecycleReason reason);

struct WorkerUse {
  WorkerReport report;
  Duration age{};            // since its start
  unsigned descriptors = 0;  // all; 0: not looked at
  unsigned threads = 0;      // 0: not looked at
};

// nullopt: it stays.
std::optional<RecycleReason> reason_to_recycle(const WorkerUse& use, const RecycleSettings& settings);

// Whether workers that reach their limit like this one spend a good part of their life starting, so that the limit
// should be raised: this one was ready for less than five times as long as it took to start.
bool is_limit_too_low(Duration start_took, Duration ready_for);

std::string_view text_of(RecycleReason reason);

}  // namespace stint::supervisor
