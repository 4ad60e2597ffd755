// One `stint trace`: what the workers' running requests are doing, gathered from the workers that were asked. It is
// over when all have answered, or 2 s later: a worker that does not answer then is told as such. Supervisor's thread.
#pragma once

#include "server/control/message.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace stint::supervisor {

struct WorkerTrace {
  unsigned slot = 0;
  pid_t pid = 0;
  unsigned generation = 0;
  bool has_answered = false;
  std::vector<control::CallTrace> calls;
};

class TraceRound {
 public:
  // `done` is called once, last of all; the round may go then.
  TraceRound(boost::asio::io_context& io, unsigned number, std::vector<WorkerTrace> asked,
             std::function<void(const std::vector<WorkerTrace>&)> done);
  TraceRound(const TraceRound&) = delete;
  TraceRound& operator=(const TraceRound&) = delete;

  unsigned number() const { return number_; }
  void take(pid_t worker, const control::CallTrace& call);
  // It has told all, or has ended.
  void finish(pid_t worker, bool has_answered);

 private:
  WorkerTrace* find(pid_t worker);
  void end_after(std::chrono::seconds time);
  void end();

  const unsigned number_;
  std::vector<WorkerTrace> workers_;
  std::size_t missing_;
  std::function<void(const std::vector<WorkerTrace>&)> done_;
  boost::asio::steady_timer limit_;
};

// {"workers": [{"slot", "pid", "generation", "has_answered", "calls": [{"method", "target", "request", "ms", "thread",
// "lock", "stack"}]}]}
std::string trace_json(const std::vector<WorkerTrace>& workers);

}  // namespace stint::supervisor
