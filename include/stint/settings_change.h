// Settings that come while the server runs: what is different, and what each difference costs.
#pragma once

#include "stint/result.h"
#include "stint/settings.h"

#include <functional>
#include <string>
#include <vector>

namespace stint {

// What the running server has to do for a new value to count.
enum class ChangeCost {
  nothing,         // the supervisor takes it up as it is
  recycle,         // workers have to be replaced
  new_generation,  // likewise, and the new ones must start well first
  restart,         // the supervisor itself has to start again
};

struct SettingsChange {
  std::string key;       // "app.workers.count"
  std::string from, to;  // as TOML: 4, "64KiB"
  ChangeCost cost{};
  bool operator==(const SettingsChange&) const = default;
};

// Read anew and valid as a whole. What costs a restart still has its old value, in all members.
struct FreshSettings {
  Settings settings;
  std::string toml;                     // the same, as workers read them
  std::vector<SettingsChange> changes;  // those that cost a restart included
};

// Made by main from the command line; `current` are the settings that count now. The error has a line for each problem.
using SettingsReader = std::function<Result<FreshSettings>(const Settings& current)>;

}  // namespace stint
