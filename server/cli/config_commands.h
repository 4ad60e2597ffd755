// `stint check` and `stint config …`, and how every command comes by its settings.
#pragma once

#include "config/loader.h"
#include "server/cli/command_line.h"

#include <string>
#include <variant>

namespace stint::cli {

// Reads the file that is named, else ./stint.toml when it exists, and lays options and the environment's PORT over it.
// Problems also tell of a file that cannot be read.
std::variant<config::Loaded, config::Problems> load_settings(const SettingsArguments& arguments);

// Absolute path of the file that load_settings reads; empty: none.
std::string settings_path(const SettingsArguments& arguments);

// Where the running server's control socket is: --socket, else `control.socket` of the file, else the default place.
std::variant<std::string, config::Problems> find_control_socket(const ServerArguments& arguments);

// To standard error, one line each.
void print_problems(const config::Problems& problems);

// Each returns the exit code: 0, or 2 when the settings are invalid, or 1 when standard output takes nothing.
int run(const Check& command);
int run(const ConfigShow& command);
int run(const ConfigDefault& command);
int run(const ConfigSchema& command);

}  // namespace stint::cli
