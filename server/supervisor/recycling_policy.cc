#include "server/supervisor/recycling_policy.h"

namespace stint::supervisor {

std::optional<RecycleReason> reason_to_recycle(const WorkerUse& use, const RecycleSettings& settings) {
  const WorkerReport& report = use.report;
  if (report.counts.request_timeouts > 0) return RecycleReason::request_timeout;
  if (use.age < settings.min_age) return std::nullopt;
  if (settings.max_requests != 0 && report.counts.requests >= settings.max_requests) return RecycleReason::max_requests;
  if (settings.max_rss.count != 0 && report.private_memory > settings.max_rss) return RecycleReason::max_rss;
  if (settings.max_age.count() != 0 && use.age >= settings.max_age) return RecycleReason::max_age;
  // What clients hold open is theirs and has a limit of its own; this one is for what the application forgets to close.
  const unsigned own_descriptors = use.descriptors > report.connections ? use.descriptors - report.connections : 0;
  if (settings.max_fds != 0 && own_descriptors > settings.max_fds) return RecycleReason::max_fds;
  if (settings.max_threads != 0 && use.threads > settings.max_threads) return RecycleReason::max_threads;
  return std::nullopt;
}

bool can_wait(RecycleReason reason) {
  switch (reason) {
    case RecycleReason::max_requests:
    case RecycleReason::max_rss:
    case RecycleReason::max_age:
    case RecycleReason::max_fds:
    case RecycleReason::max_threads:
    case RecycleReason::reload:
    case RecycleReason::memory_budget:
    case RecycleReason::refork_after:
      return true;
    case RecycleReason::worker_asked:
    case RecycleReason::operator_asked:
    case RecycleReason::keeper_lost:
    case RecycleReason::request_timeout:
      return false;
  }
  return false;
}

bool is_limit_too_low(Duration start_took, Duration ready_for) { return ready_for < 5 * start_took; }

std::string_view text_of(RecycleReason reason) {
  switch (reason) {
    case RecycleReason::max_requests:
      return "max_requests";
    case RecycleReason::max_rss:
      return "max_rss";
    case RecycleReason::max_age:
      return "max_age";
    case RecycleReason::max_fds:
      return "max_fds";
    case RecycleReason::max_threads:
      return "max_threads";
    case RecycleReason::worker_asked:
      return "worker_asked";
    case RecycleReason::operator_asked:
      return "operator_asked";
    case RecycleReason::reload:
      return "reload";
    case RecycleReason::keeper_lost:
      return "keeper_lost";
    case RecycleReason::memory_budget:
      return "memory_budget";
    case RecycleReason::request_timeout:
      return "request_timeout";
    case RecycleReason::refork_after:
      return "refork_after";
  }
  return "";
}

}  // namespace stint::supervisor
