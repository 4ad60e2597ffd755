// Decides who answers a complete request: the server itself, a static file, or the application. Requests for the
// application that are complete while no thread can call it queue here.
//
// Guarded by the lease of the event loop. Always: a connection is in the queue exactly while it is in the state
// `waiting`; a request is given to the application once; those that queue are served first.
#pragma once

#include "server/control/status_page.h"
#include "server/worker/loop_lease.h"
#include "server/worker/response_writer.h"
#include "server/worker/running_calls.h"
#include "server/worker/static_files.h"
#include "stint/application.h"
#include "stint/log.h"
#include "stint/request.h"
#include "stint/settings.h"

#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace stint::worker {

class Connection;

class Dispatcher {
 public:
  Dispatcher(Application& application, const Settings& settings, LoopLease& lease, RunningCalls& calls,
             control::StatusPage& page, Log& log)
      : application_(application),
        lease_(lease),
        calls_(calls),
        mount_(settings.app.mount),
        shows_errors_(settings.app.show_errors),
        static_files_(settings.static_roots, log),
        page_(page),
        log_(log) {}

  // A request for this path can be answered now, on this thread; else it has to queue.
  bool can_start(std::string_view path) const;
  // Puts a whole answer into the writer, or a visibly broken one. `now`: when the request began. `writer` and `call`
  // are the connection's. REQUIRES: can_start(), or that it was its turn.
  struct Exchange {
    const Request& request;
    ResponseWriter& writer;
    LoopLease::Call& call;
    Connection& connection;
    TimePoint now;
  };
  void dispatch(const Exchange& exchange);

  void enqueue(Connection& connection) { waiting_.push_back(&connection); }
  void forget(Connection& connection) { std::erase(waiting_, &connection); }
  bool has_waiting() const { return !waiting_.empty(); }
  // Serves one waiting request if this thread calls the application. Called between steps of the loop.
  void serve_waiting();
  // Gives one of those that wait to another worker, the oldest that can go. False: none can.
  bool hand_over_waiting();
  // While it lives, requests for the application queue: its owner is in the middle of something that others must not
  // find half done, as they might during a call.
  class Deferral {
   public:
    explicit Deferral(Dispatcher& dispatcher) : dispatcher_(dispatcher) { dispatcher_.defers_ = true; }
    Deferral(const Deferral&) = delete;
    Deferral& operator=(const Deferral&) = delete;
    ~Deferral() { dispatcher_.defers_ = false; }

   private:
    Dispatcher& dispatcher_;
  };
  bool defers() const { return defers_; }
  void interrupt(std::uint64_t call, Interruption why) { application_.interrupt(call, why); }
  // Lets the application free what it holds for answers that have been sent, when this thread calls it.
  void tidy(TimePoint now);

 private:
  void call_application(const Request& request, const Exchange& exchange);
  void tell_of_failure(const ApplicationFailure& failure, const Request& request, std::string_view next);
  void answer_failure(const ApplicationFailure& failure, const Request& request, ResponseWriter& writer);
  void send_named_file(const Request& request, ResponseWriter& writer);

  Application& application_;
  LoopLease& lease_;
  RunningCalls& calls_;
  const std::string& mount_;
  const bool shows_errors_;
  StaticFiles static_files_;
  control::StatusPage& page_;
  Log& log_;
  std::deque<Connection*> waiting_;
  bool defers_ = false;
};

}  // namespace stint::worker
