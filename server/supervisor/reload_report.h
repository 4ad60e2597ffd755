// What became of the last reload, for `stint reload --wait` and `stint status`. Plain values. An upgrade of the program
// is one, too: behind its own steps it is the reload that the new program begins with.
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
  std::uint64_t id = 0;          // 1…
  unsigned from = 0, to = 0;     // generations
  std::string phase;             // running: Reload::Phase, or "rehearsing"
  std::string upgrade_from;      // version that ran when an upgrade began; empty: no upgrade
  bool has_new_program = false;  // and the new one runs
  std::vector<SettingsChange> changes;
  bool has_taken_over = false;   // also when it failed: the rest of the old workers is replaced as soon as that works
  unsigned beside = 0;           // workers of it that fit into memory beside the old ones, where not all did; else 0
  unsigned started = 0;          // workers
  std::string step;              // failed: "rehearsal", "settings", "listen", "import", "warmup", "canary", …
  std::string error;             // failed: one line
  std::string detail;            // failed: Python's traceback, or all problems of the settings
  std::vector<StartStep> steps;  // done: of the worker that took longest
  Duration took{};
};

}  // namespace stint::supervisor
