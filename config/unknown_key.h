// What to say about a key that is not in the schema.
#pragma once

#include <string>
#include <string_view>

namespace stint::config {

// In a file: `table` is where `name` was found. "unknown key 'cuont' in [app.workers]; did you mean 'count'?"
std::string unknown_in_file(std::string_view table, std::string_view name, bool is_table);

// On the command line, where keys are written with their tables.
std::string unknown_on_command_line(std::string_view path);

}  // namespace stint::config
