#include "server/supervisor/recycling_policy.h"

namespace stint::supervisor {

std::optional<RecycleReason> reason_to_recycle(const WorkerReport& report, Duration age,
                                               const RecycleSettings& settings) {
  if (settings.max_requests != 0 && report.requests >= settings.max_requests) return RecycleReason::max_requests;
  if (settings.max_rss.count != 0 && report.private_memory > settings.max_rss) return RecycleReason::max_rss;
  if (settings.max_age.count() != 0 && age >= settings.max_age) return RecycleReason::max_age;
  return std::nullopt;
}

std::string_view text_of(RecycleReason reason) {
  switch (reason) {
    case RecycleReason::max_requests:
      return "max_requests";
    case RecycleReason::max_rss:
      return "max_rss";
    case RecycleReason::max_age:
      return "max_age";
    case RecycleReason::worker_asked:
      return "worker_asked";
    case RecycleReason::operator_asked:
      return "operator_asked";
    case RecycleReason::reload:
      return "reload";
  }
  return "";
}

}  // namespace stint::supervisor
