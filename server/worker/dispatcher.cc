#include "server/worker/dispatcher.h"

#include "server/worker/connection.h"
#include "stint/assert.h"

namespace stint::worker {

void Dispatcher::dispatch(const Request& request, ResponseWriter& writer, TimePoint now) {
  STINT_ASSERT(is_free());
  if (request.path == "*") return writer.answer(200);  // OPTIONS *: about the server, not about a resource
  if (static_files_.answer(request, writer)) return;
  call_application(request, writer, now);
}

void Dispatcher::call_application(const Request& request, ResponseWriter& writer, TimePoint now) {
  is_calling_ = true;
  page_.set_busy(now);
  const std::optional<ApplicationFailure> failure = application_.call(request, writer);
  page_.set_idle();
  is_calling_ = false;
  if (writer.was_cut()) {
    log_.warning("answer cut: the application gave more than its Content-Length",
                 {{"method", request.method}, {"target", request.target}, {"request", request.id}});
  }
  if (writer.dropped_hop_by_hop() > 0) {
    log_.warning("hop-by-hop header fields of the application dropped",
                 {{"count", writer.dropped_hop_by_hop()}, {"target", request.target}, {"request", request.id}});
  }
  if (!failure) return;
  page_.count_failure();
  log_.write(LogLevel::error, "application failed",
             {{"error", failure->summary},
              {"method", request.method},
              {"target", request.target},
              {"request", request.id},
              {"next", writer.has_sent_head() ? "the answer is cut" : "500 to the client"}},
             failure->traceback);
  if (writer.has_sent_head()) return writer.abort();
  writer.answer(500, {}, "500 Internal Server Error (request " + std::string(request.id) + ")");
}

void Dispatcher::serve_waiting() {
  if (waiting_.empty() || is_calling_) return;
  Connection& connection = *waiting_.front();
  waiting_.pop_front();
  connection.serve_waiting();
}

}  // namespace stint::worker
