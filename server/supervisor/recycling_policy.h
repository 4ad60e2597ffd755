// When a worker has served long enough. Pure; asked by the Pool for every ready worker, twenty times a second.
#pragma once

#include "stint/settings.h"
#include "stint/worker_report.h"

#include <array>
#include <optional>
#include <string_view>

namespace stint::supervisor {

// Why a worker is replaced: the first three by the settings, then by its own wish, the operator's, or a reload.
enum class RecycleReason { max_requests, max_rss, max_age, worker_asked, operator_asked, reload };
inline constexpr std::array all_recycle_reasons{RecycleReason::max_requests,   RecycleReason::max_rss,
                                                RecycleReason::max_age,        RecycleReason::worker_asked,
                                                RecycleReason::operator_asked, RecycleReason::reload};

// nullopt: it stays. `age` counts from the worker's start.
std::optional<RecycleReason> reason_to_recycle(const WorkerReport& report, Duration age,
                                               const RecycleSettings& settings);

std::string_view text_of(RecycleReason reason);

}  // namespace stint::supervisor
