// What a text of the TOML has to look like, rule by rule.
#pragma once

#include "config/schema.h"
#include "stint/result.h"

#include <string>
#include <string_view>

namespace stint::config {

// The text as it goes into Settings: paths made absolute from `folder` on. The error continues a sentence that begins
// with the key's name: "must be …".
Result<std::string> apply_rule(TextRule rule, std::string_view text, const std::string& folder, bool check_folders);

// The same for the parts of lists and tables.
Result<std::string> check_target(std::string_view text);
Result<std::string> check_variable_name(std::string_view text);
Result<std::string> check_static_url(std::string_view text);
Result<std::string> check_folder(std::string_view text, const std::string& folder, bool check_folders);

}  // namespace stint::config
