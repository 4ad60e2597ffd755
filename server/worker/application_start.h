// From nothing to an application that can be called: starts Python, imports, warms up. Done by a worker for itself, or
// once by a zygote for all workers of its generation. Main thread of either.
#pragma once

#include "stint/application.h"
#include "stint/log.h"
#include "stint/runtime.h"
#include "stint/settings.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace stint::worker {

// A runtime that has been started, and its name for the log: "3.11.2 (/srv/site/.venv/bin/python)".
struct StartedRuntime {
  std::unique_ptr<Runtime> runtime;
  std::string python;
};
// Made by main: finds the virtual environment's Python and starts it. Appends the steps it took; the step that failed
// is the error's.
using RuntimeStarter =
    std::function<std::optional<LoadFailure>(std::vector<StartStep>& steps, StartedRuntime& started)>;

struct StartedApplication {
  StartedRuntime runtime;
  std::unique_ptr<Application> application;
};

// Fills `started` and appends the steps it took. `on_imported` is called before the warm-up requests.
std::optional<LoadFailure> start_application(const Settings& settings, const RuntimeStarter& start_runtime, Log& log,
                                             const std::function<void()>& on_imported, std::vector<StartStep>& steps,
                                             StartedApplication& started);

}  // namespace stint::worker
