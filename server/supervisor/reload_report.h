// What became of the last reload, for `stint reload --wait` and `stint status`. Plain values.
#pragma once

#include "stint/runtime.h"
#include "stint/settings_change.h"

#include <cstdint>
#include <string>
#include <vector>

namespace stint::supervisor {

struct ReloadReport {
  enum class State {
    none,     // there has been no reload
    running,  // the old generation serves, alone or beside canaries
    passing,  // the new generation serves; old workers may still be in a call
    done,
    failed,  // the old generation serves as before
  };
  State state = State::none;
  std::uint64_t id = 0;       // 1…
  unsigned from = 0, to = 0;  // generations
  std::string phase;          // running: Reload::Phase
  std::vector<SettingsChange> changes;
  unsigned started = 0;          // workers
  std::string step;              // failed: "settings", "listen", "import", "warmup", "canary", …
  std::string error;             // failed: one line
  std::string detail;            // failed: Python's traceback, or all problems of the settings
  std::vector<StartStep> steps;  // done: of the worker that took longest
  Duration took{};
};

}  // namespace stint::supervisor
