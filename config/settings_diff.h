// Two settings compared, key by key of the schema. Pure.
#pragma once

#include "stint/settings_change.h"

#include <vector>

namespace stint::config {

// In the order of the schema. Empty exactly when the two are equal.
std::vector<SettingsChange> settings_changes(const Settings& from, const Settings& to);

// Gives the keys that cost a restart the values they have in `current`.
void keep_what_needs_a_restart(const Settings& current, Settings& fresh);

}  // namespace stint::config
