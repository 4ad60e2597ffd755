// Requests that a worker answers to itself before it is ready ([app.warmup] requests), so that no client pays for lazy
// imports, template compilation and first connections.
#pragma once

#include "stint/application.h"
#include "stint/runtime.h"
#include "stint/settings.h"

#include <optional>
#include <string>
#include <vector>

namespace stint::worker {

// Calls the application with GET of each target. The first that fails (raises, or answers 5xx) ends it.
std::optional<LoadFailure> warm_up(Application& application, const Settings& settings);

}  // namespace stint::worker
