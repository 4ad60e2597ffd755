// The zygote (start = "fork"): one for each generation. It starts Python, imports the application, answers the warm-up
// requests, and then forks workers on request, in milliseconds, which share the memory that they do not change.
//
//   preload ─> settle (connections closed, garbage collected, the rest frozen) ─> safe to fork? ─> Ready ─> serve forks
//      └──────────────────────── StartFailed, which fails its generation ────┘                               │ │
//                                                                         channel's end: exit 0 <────────────┘ └─> a
//                                                                         worker
//
// Comes in: Fork with what a worker inherits, ReopenLogs. Goes out: Ready or StartFailed, and workers, which are the
// supervisor's children and never the zygote's (orphan.h). Always: it has one thread; it serves nobody and holds none
// of its workers' descriptors; if the supervisor is gone it ends. Of it all only language hooks run in the main thread
// of an application that is otherwise at rest, so a fork copies a state that the application had between two requests.
#pragma once

#include "server/control/channel.h"
#include "server/control/zygote_inheritance.h"
#include "stint/log.h"
#include "stint/runtime.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace stint::zygote {

// What main has made of the application; it outlives the zygote, and lives on in each worker.
struct Preloaded {
  Runtime* runtime = nullptr;
  std::string python;  // "3.11.2 (/srv/site/.venv/bin/python)"
};
// Starts Python, imports the application and warms it up. Appends the steps it took; the step that failed is the
// error's.
using Preload = std::function<std::optional<LoadFailure>(std::vector<StartStep>& steps, Preloaded& preloaded)>;

// How run() ends: as the zygote, with an exit code, or in a new process, which is a worker from then on.
struct Outcome {
  int exit_code = 0;
  std::optional<StartStep> fork;  // there in a worker: how long that took
};

class Zygote {
 public:
  // All arguments outlive the zygote. `reopen_log`: after log rotation. `begin_worker` is called in each new worker
  // before any code of the application's: it may start the keeper, as long as the process has one thread.
  Zygote(control::ZygoteInheritance inheritance, Preload preload, Log& log, std::function<void()> reopen_log,
         std::function<void(control::WorkerInheritance)> begin_worker);

  Outcome run();

 private:
  std::optional<LoadFailure> start();
  std::optional<StartStep> serve();
  std::optional<StartStep> fork(const control::Fork& order, std::vector<UniqueFd> descriptors);
  void tell(const control::Message& message);

  control::ZygoteInheritance inheritance_;
  Preload preload_;
  Log& log_;
  std::function<void()> reopen_log_;
  std::function<void(control::WorkerInheritance)> begin_worker_;

  control::Channel channel_;
  Preloaded preloaded_;
  std::vector<StartStep> steps_;
};

}  // namespace stint::zygote
