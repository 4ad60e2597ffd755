// What the words after `stint` ask for, as plain values. Parsing only: nothing is opened and nothing is printed here.
#pragma once

#include "config/loader.h"

#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace stint::cli {

// Where the settings of this run come from: -c FILE, and the options that are laid over it.
struct SettingsArguments {
  std::optional<std::string> file;
  std::vector<config::Override> overrides;
};

// Which running server is meant: --socket PATH, else the one of the settings file.
struct ServerArguments {
  std::optional<std::string> file;
  std::optional<std::string> socket;
};

struct Serve {
  SettingsArguments settings;
};
struct Check {
  SettingsArguments settings;
};
struct ConfigShow {
  SettingsArguments settings;
};
struct ConfigDefault {};
struct ConfigSchema {};
struct Status {
  ServerArguments server;
  bool is_json = false;
};
struct Top {
  ServerArguments server;
};
struct Recycle {
  ServerArguments server;
  std::optional<unsigned> slot;  // none: every worker, one by one
};
struct Reload {
  ServerArguments server;
  bool only_settings = false;
  bool waits = false;  // until the new generation serves, or has failed
};
struct Stop {
  ServerArguments server;
  bool waits = false;  // until the server has gone
};
struct Worker {                        // started by the supervisor, never by a person
  std::vector<std::string> arguments;  // all of them, "worker" first: control::worker_arguments
};
struct Version {};
struct Help {  // asked for: to standard output, exit 0
  std::string text;
};
struct UsageError {  // to standard error, exit 2
  std::string text;  // one line, without its end
};

using Command = std::variant<Serve, Check, ConfigShow, ConfigDefault, ConfigSchema, Status, Top, Recycle, Reload, Stop, Worker,
                             Version, Help, UsageError>;

// `arguments` without argv[0].
Command parse_command_line(const std::vector<std::string>& arguments);

}  // namespace stint::cli
