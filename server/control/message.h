// What supervisor and worker, or zygote, say to each other over their channel. Small structs, rare messages; what
// changes often is read from the status page instead.
#pragma once

#include "stint/result.h"
#include "stint/runtime.h"

#include <sys/types.h>

#include <chrono>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace stint::control {

// worker → supervisor
struct Warming {};  // the application is imported; warm-up requests begin
struct Ready {
  std::vector<StartStep> steps;
  std::string python;
};  // python: "3.11.2 (/srv/site/.venv/bin/python)"
struct StartFailed {
  LoadFailure failure;
};  // the worker exits after it
struct Draining {};  // told to retire, it has let the listeners go: what it still answers had begun before
struct Drained {};   // no connection is left; Python's exit handlers run, then the process ends
struct RecycleWanted {
  std::string reason;
};  // the worker itself asks to be replaced (SIGTERM to it, SystemExit)
struct Forked {
};  // the first word of a worker that a zygote has forked; the kernel tells whose it is (Channel::sender)

// What a call is doing, for `stint trace`; one message for each that runs, then TraceDone.
struct CallTrace {
  unsigned trace = 0;  // the order's number
  std::string method;
  std::string target;
  std::string request;  // its id
  std::chrono::milliseconds age{};
  pid_t thread = 0;
  std::string lock;   // who holds the interpreter's: "held by this call"
  std::string stack;  // a line for each call, the innermost first; empty: the thread does not answer
};
struct TraceDone {
  unsigned trace = 0;
};

// supervisor → worker
struct Serve {};  // a ready worker accepts from here on, and not before: its generation may fail meanwhile
struct Retire {
  std::string reason;  // "max_requests", "stop", … for the log
  // Of a server that stops: nobody will take over, so what waits in the listeners' queues and in the inbox is taken
  // first.
  bool takes_rest = false;
  // Some of its listeners go with its generation: what waits in their queues is taken first, and handed over.
  bool takes_waiting = false;
  // Of a forked worker: after Drained it does not exit, but goes on as a zygote, on the same channel.
  bool becomes_zygote = false;
};
struct AnnounceCloses {};  // each answer is its connection's last from now on: the server is going to stop
struct ReopenLogs {};
struct Trace {
  unsigned number = 0;  // comes back with the answers
};

// supervisor → zygote, which says Ready, StartFailed and no more. The descriptors of WorkerInheritance come with it.
struct Fork {
  unsigned slot = 0;
  unsigned listeners = 0;                        // among the descriptors
  std::chrono::milliseconds startup_timeout{0};  // 0: none. The zygote's own settings may be older
};

using Message = std::variant<Warming, Ready, StartFailed, Draining, Drained, RecycleWanted, Serve, Retire,
                             AnnounceCloses, ReopenLogs, Fork, Forked, Trace, CallTrace, TraceDone>;

std::string encode(const Message& message);  // JSON, one message; long texts are cut to fit a packet
Result<Message> decode(std::string_view packet);

}  // namespace stint::control
