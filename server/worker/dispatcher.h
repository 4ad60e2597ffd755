// Decides who answers a complete request: the server itself, a static file, or the application; one call into the
// application at a time. Requests that are complete while a call runs (it waits for a slow client) queue here.
//
// Always: a connection is in the queue exactly while it is in the state `waiting`; a request is given to the
// application once.
#pragma once

#include "server/control/status_page.h"
#include "server/worker/response_writer.h"
#include "server/worker/static_files.h"
#include "stint/application.h"
#include "stint/log.h"
#include "stint/request.h"
#include "stint/settings.h"

#include <deque>
#include <optional>
#include <string>

namespace stint::worker {

class Connection;

class Dispatcher {
 public:
  Dispatcher(Application& application, const Settings& settings, control::StatusPage& page, Log& log)
      : application_(application),
        mount_(settings.app.mount),
        shows_errors_(settings.app.show_errors),
        static_files_(settings.static_roots),
        page_(page),
        log_(log) {}

  bool is_free() const { return !is_calling_; }
  // Puts a whole answer into the writer, or a visibly broken one. `now`: when the request began. REQUIRES: is_free().
  void dispatch(const Request& request, ResponseWriter& writer, TimePoint now);

  void enqueue(Connection& connection) { waiting_.push_back(&connection); }
  void forget(Connection& connection) { std::erase(waiting_, &connection); }
  // Serves one waiting request if nothing runs. Called by the worker between steps of its loop.
  void serve_waiting();

 private:
  // The request as an application below app.mount sees it; nothing when it is not for it.
  std::optional<Request> below_mount(const Request& request);
  void call_application(const Request& request, ResponseWriter& writer, TimePoint now);
  void tell_of_failure(const ApplicationFailure& failure, const Request& request, ResponseWriter& writer);
  void send_named_file(const Request& request, ResponseWriter& writer);

  Application& application_;
  const std::string& mount_;
  const bool shows_errors_;
  std::string script_name_;  // of the request at work, where it is made of two parts
  StaticFiles static_files_;
  control::StatusPage& page_;
  Log& log_;
  std::deque<Connection*> waiting_;
  bool is_calling_ = false;
};

}  // namespace stint::worker
