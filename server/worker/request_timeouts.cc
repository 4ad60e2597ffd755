#include "server/worker/request_timeouts.h"

#include <fstream>
#include <utility>

namespace stint::worker {

namespace {

// As the kernel has it; Python's own names from 3.14 on.
std::string name_of_thread(pid_t thread) {
  std::ifstream comm("/proc/self/task/" + std::to_string(thread) + "/comm");
  std::string name;
  std::getline(comm, name);
  return name;
}

}  // namespace

std::string lock_text(const RunningCalls& calls, pid_t thread, pid_t holder) {
  if (holder == 0) return "free, or held by a thread that does not answer";
  if (holder == thread) return "held by this call";
  if (const RunningCall* call = calls.of_thread(holder)) {
    const Connection::RunningRequest request = call->connection->running_request();
    return "held by " + request.method + " " + request.target + " (request " + request.id + ")";
  }
  const std::string name = name_of_thread(holder);
  return "held by thread " + std::to_string(holder) + (name.empty() ? "" : " (" + name + ")");
}

RequestTimeouts::RequestTimeouts(ConnectionServices& services, Tracer* tracer, bool interrupts)
    : services_(services), tracer_(tracer), interrupts_(interrupts) {
  services_.calls.on_overdue = [this](const RunningCall& call) { on_overdue(call); };
}

void RequestTimeouts::on_overdue(const RunningCall& call) {
  Overdue overdue{call.connection->running_request(), call.thread, call.began};
  overdue.is_answered = call.connection->time_out();
  if (tracer_ == nullptr) {
    tell(overdue, "", "");
  } else {
    // Before the exception changes what there is to see.
    tracer_->trace(call.thread, [this, overdue = std::move(overdue)](const ThreadTrace& trace) mutable {
      look_at_holder(std::move(overdue), trace);
    });
  }
  if (interrupts_) services_.dispatcher.interrupt(call.number, Interruption::timed_out);
}

void RequestTimeouts::look_at_holder(Overdue overdue, const ThreadTrace& trace) {
  std::string stack = trace.has_answered ? trace.stack : "Its thread does not answer.\n";
  std::string lock = lock_text(services_.calls, overdue.thread, trace.lock_holder);
  if (trace.lock_holder == 0 || trace.lock_holder == overdue.thread) return tell(overdue, lock, stack);
  tracer_->trace(trace.lock_holder, [this, overdue = std::move(overdue), lock = std::move(lock),
                                     stack = std::move(stack)](const ThreadTrace& holder) {
    tell(overdue, lock, holder.has_answered ? stack + "The lock's holder:\n" + holder.stack : stack);
  });
}

void RequestTimeouts::tell(const Overdue& overdue, const std::string& lock, const std::string& stacks) {
  services_.log.write(LogLevel::error, "request timed out",
                      {{"method", overdue.request.method},
                       {"target", overdue.request.target},
                       {"request", overdue.request.id},
                       {"age", std::chrono::steady_clock::now() - overdue.began},
                       {"lock", lock},
                       {"next", std::string(overdue.is_answered ? "504 to the client" : "the answer is cut") +
                                    "; this worker is replaced when its other requests are done"}},
                      stacks);
}

}  // namespace stint::worker
