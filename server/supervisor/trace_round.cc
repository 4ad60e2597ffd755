#include "server/supervisor/trace_round.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <utility>

namespace stint::supervisor {

namespace json = boost::json;

namespace {
constexpr std::chrono::seconds patience{2};
}

TraceRound::TraceRound(boost::asio::io_context& io, unsigned number, std::vector<WorkerTrace> asked,
                       std::function<void(const std::vector<WorkerTrace>&)> done)
    : number_(number), workers_(std::move(asked)), missing_(workers_.size()), done_(std::move(done)), limit_(io) {
  end_after(missing_ == 0 ? std::chrono::seconds(0) : patience);
}

// From the loop, also at once: neither who has made the round nor who tells it of a worker is done with the pool.
void TraceRound::end_after(std::chrono::seconds time) {
  limit_.expires_after(time);
  limit_.async_wait([this](const boost::system::error_code& code) {
    if (!code) end();
  });
}

void TraceRound::take(pid_t worker, const control::CallTrace& call) {
  if (WorkerTrace* trace = find(worker)) trace->calls.push_back(call);
}

void TraceRound::finish(pid_t worker, bool has_answered) {
  WorkerTrace* trace = find(worker);
  if (trace == nullptr || trace->has_answered) return;
  trace->has_answered = has_answered;
  if (--missing_ == 0) end_after(std::chrono::seconds(0));
}

WorkerTrace* TraceRound::find(pid_t worker) {
  const auto found =
      std::find_if(workers_.begin(), workers_.end(), [&](const WorkerTrace& trace) { return trace.pid == worker; });
  return found == workers_.end() ? nullptr : &*found;
}

void TraceRound::end() {
  const auto done = std::move(done_);
  const auto workers = std::move(workers_);
  done(workers);  // `this` may be gone after it
}

std::string trace_json(const std::vector<WorkerTrace>& workers) {
  json::array rows;
  for (const WorkerTrace& worker : workers) {
    json::array calls;
    for (const control::CallTrace& call : worker.calls) {
      calls.push_back(json::object{{"method", call.method},
                                   {"target", call.target},
                                   {"request", call.request},
                                   {"ms", call.age.count()},
                                   {"thread", call.thread},
                                   {"lock", call.lock},
                                   {"stack", call.stack}});
    }
    rows.push_back(json::object{{"slot", worker.slot},
                                {"pid", worker.pid},
                                {"generation", worker.generation},
                                {"has_answered", worker.has_answered},
                                {"calls", std::move(calls)}});
  }
  return json::serialize(json::object{{"workers", std::move(rows)}});
}

}  // namespace stint::supervisor
