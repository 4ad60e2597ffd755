// Pieces of TOML text. A quoted string is valid JSON as well.
#pragma once

#include "config/schema.h"

#include <string>
#include <string_view>

namespace stint::config {

std::string toml_string(std::string_view text);

// The value of a key, as it stands after "=". StaticRoots have no such text: they are tables.
std::string value_text(const Kind& kind, const Settings& settings);

// `text` as comment lines, each with its "# " and line feed.
std::string comment(std::string_view text);

}  // namespace stint::config
