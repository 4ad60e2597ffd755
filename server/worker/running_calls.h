// The calls into the application that run now, for whom it may concern: the status page, the limit of a call
// (app.workers.request_timeout), traces. Guarded by the lease of the event loop.
//
// The limit is for a call without progress: it counts from the call's begin, and anew from each part of the answer that
// its client has. It costs an ordinary call nothing: one deadline is armed for all that run, and looks at them when it
// comes.
#pragma once

#include "server/control/status_page.h"
#include "server/worker/deadlines.h"
#include "server/worker/event_loop.h"
#include "stint/worker_report.h"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

namespace stint::worker {

class Connection;

struct RunningCall {
  std::uint64_t number = 0;  // Request::number
  Connection* connection = nullptr;
  pid_t thread = 0;
  TimePoint began{};
  TimePoint progress{};            // counts against the limit from here on
  bool is_client_awaited = false;  // it waits until its client has read: http.write_timeout is its limit then
  bool is_timed_out = false;       // its client has been answered without it
};

class RunningCalls final : private Timed {
 public:
  // `limit` 0: none.
  RunningCalls(EventLoop& loop, control::StatusPage& page, std::chrono::milliseconds limit);

  // Told, once for each, of a call that has reached the limit; from a step of the loop.
  std::function<void(const RunningCall&)> on_overdue = [](const RunningCall&) {};

  std::uint64_t new_number() { return ++last_number_; }
  void begin(std::uint64_t number, Connection& connection, pid_t thread, TimePoint now);
  void end(std::uint64_t number);
  void await_client(std::uint64_t number);
  void progress(std::uint64_t number, TimePoint now);

  const std::vector<RunningCall>& all() const { return calls_; }  // the oldest first
  const RunningCall* of_thread(pid_t thread) const;
  std::size_t timed_out() const;

 private:
  void on_deadline() override;
  RunningCall& find(std::uint64_t number);
  void watch(TimePoint since);
  void tell() const;  // on the status page

  EventLoop& loop_;
  control::StatusPage& page_;
  DeadlineList limit_;
  bool is_watching_ = false;
  std::vector<RunningCall> calls_;
  std::uint64_t last_number_ = 0;
};

}  // namespace stint::worker
