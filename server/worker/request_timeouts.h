// What is done about a call that takes longer than app.workers.request_timeout (RunningCalls tells): its client gets
// 504 from the loop, the log what its thread is doing, and the call itself, if the settings want that, an exception.
// All others go on; the supervisor sees the count on the status page and replaces the worker.
//
//   error  request timed out  method=GET target=/report request=… age=60000ms lock="held by this call" next=…
//     Stack (most recent call first):
//       File "/srv/site/views.py", line 10 in report
//
// Run by who has the lease; it needs neither Python nor the call's thread.
#pragma once

#include "server/worker/connection_services.h"
#include "server/worker/tracer.h"

#include <string>

namespace stint::worker {

class RequestTimeouts {
 public:
  // All arguments outlive it; `tracer` may be null: the runtime cannot tell stacks.
  RequestTimeouts(ConnectionServices& services, Tracer* tracer, bool interrupts);

 private:
  struct Overdue {
    Connection::RunningRequest request;
    pid_t thread = 0;
    TimePoint began{};
    bool is_answered = false;  // with a 504; else its answer was cut
  };

  void on_overdue(const RunningCall& call);
  void look_at_holder(Overdue overdue, const ThreadTrace& trace);
  void tell(const Overdue& overdue, const std::string& lock, const std::string& stacks);

  ConnectionServices& services_;
  Tracer* const tracer_;
  const bool interrupts_;
};

// Who has the interpreter's lock, seen from the call that runs on `thread`: "held by this call", "held by GET /report
// (request 1f…)", "held by thread 4711 (name)", "free, or held by a thread that does not answer".
std::string lock_text(const RunningCalls& calls, pid_t thread, pid_t holder);

}  // namespace stint::worker
