#include "server/worker/dispatcher.h"

#include "server/http/error_page.h"
#include "server/worker/connection.h"
#include "server/worker/mount.h"
#include "stint/assert.h"

#include <new>

namespace stint::worker {

namespace {

// Says nothing but the id, by which the log tells the rest.
void answer_500(const Request& request, ResponseWriter& writer) {
  writer.answer(500, {}, "500 Internal Server Error (request " + std::string(request.id) + ")");
}

}  // namespace

bool Dispatcher::can_start(std::string_view path) const {
  const bool may_call = lease_.holder().calls_application && !defers_ && waiting_.empty();
  return may_call || path == "*" || static_files_.has(path);
}

void Dispatcher::dispatch(const Exchange& exchange) {
  const Request& request = exchange.request;
  ResponseWriter& writer = exchange.writer;
  if (request.path == "*") return writer.answer(200);  // OPTIONS *: about the server, not about a resource
  if (static_files_.answer(request, writer)) return;
  if (mount_.empty()) return call_application(request, exchange);
  std::string script_name;
  const std::optional<Request> below = below_mount(mount_, request, script_name);
  below ? call_application(*below, exchange) : writer.answer(404);
}

void Dispatcher::call_application(const Request& request, const Exchange& exchange) {
  STINT_ASSERT(lease_.holder().calls_application);
  ResponseWriter& writer = exchange.writer;
  calls_.begin(request.number, exchange.connection, lease_.holder().id(), exchange.now);
  exchange.call.begin(exchange.now);
  // From here on other threads may have the loop, and all that it guards; the connection's answer is this call's.
  const std::optional<ApplicationFailure> failure = application_.call(request, writer);
  exchange.call.end();
  calls_.end(request.number);
  if (exchange.connection.has_timed_out()) {
    if (failure) tell_of_failure(*failure, request, "nothing; its client has had its 504");
    return;
  }
  if (writer.was_cut()) {
    log_.warning("answer cut: the application gave more than its Content-Length",
                 {{"method", request.method}, {"target", request.target}, {"request", request.id}});
  }
  if (writer.dropped_hop_by_hop() > 0) {
    log_.warning("hop-by-hop header fields of the application dropped",
                 {{"count", writer.dropped_hop_by_hop()}, {"target", request.target}, {"request", request.id}});
  }
  if (failure) return answer_failure(*failure, request, writer);
  if (writer.names_file()) send_named_file(request, writer);
}

void Dispatcher::tell_of_failure(const ApplicationFailure& failure, const Request& request, std::string_view next) {
  page_.count_failure();
  log_.write(LogLevel::error, "application failed",
             {{"error", failure.summary},
              {"method", request.method},
              {"target", request.target},
              {"request", request.id},
              {"next", next}},
             failure.traceback);
}

void Dispatcher::answer_failure(const ApplicationFailure& failure, const Request& request, ResponseWriter& writer) {
  tell_of_failure(failure, request, writer.has_sent_head() ? "the answer is cut" : "500 to the client");
  if (writer.has_sent_head()) return writer.abort();
  try {
    if (shows_errors_) return writer.answer_page(500, http::error_page(request, failure.summary, failure.traceback));
    answer_500(request, writer);
  } catch (const std::bad_alloc&) {  // as there was no memory for the application's answer
    writer.abort();
  }
}

void Dispatcher::send_named_file(const Request& request, ResponseWriter& writer) {
  const Result<void> sent = static_files_.answer_named(request, writer);
  if (sent.has_value()) return;
  log_.error("file named by the application not sent", {{"error", sent.error().text()},
                                                        {"target", request.target},
                                                        {"request", request.id},
                                                        {"next", "500 to the client"}});
  answer_500(request, writer);
}

void Dispatcher::serve_waiting() {
  if (waiting_.empty() || !lease_.holder().calls_application) return;
  Connection& connection = *waiting_.front();
  waiting_.pop_front();
  connection.serve_waiting();
}

bool Dispatcher::hand_over_waiting() {
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    if (waiting_[i]->hand_over()) return true;  // and it waits here no more
  }
  return false;
}

// It may have to wait for Python, as a call may.
void Dispatcher::tidy(TimePoint now) {
  if (!lease_.holder().calls_application) return;
  LoopLease::Call call(lease_);
  call.begin(now);
  application_.tidy();
  call.end();
}

}  // namespace stint::worker
