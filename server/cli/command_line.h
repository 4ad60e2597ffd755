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
struct Upgrade {
  ServerArguments server;
  bool waits = false;  // until the new program's workers serve, or it has failed
};
struct Trace {
  ServerArguments server;
  std::optional<unsigned> slot;  // none: every worker
  bool is_json = false;
};
struct ReopenLogs {
  ServerArguments server;
};
struct Stop {
  ServerArguments server;
  bool waits = false;  // until the server has gone
};
struct Worker {                        // started by the supervisor, never by a person
  std::vector<std::string> arguments;  // all of them, "worker" first: control::worker_arguments
};
struct Zygote {                        // likewise
  std::vector<std::string> arguments;  // all of them, "zygote" first: control::zygote_arguments
};
// What a supervisor executes at an upgrade, never a person (supervisor/upgrade.h): each with how the server was
// started.
struct Rehearse {  // in a child: shows that it could go on
  int state = -1;  // descriptor of the UpgradeState
  Serve serve;
};
struct Resume {  // in the supervisor's place: goes on
  int state = -1;
  int former = -1;  // descriptor of the program that was replaced
  Serve serve;
};
struct Return {  // the replaced program once more, because the new one cannot go on
  int state = -1;
  std::string why;
  Serve serve;
};
struct Version {};
struct Help {  // asked for: to standard output, exit 0
  std::string text;
};
struct UsageError {  // to standard error, exit 2
  std::string text;  // one line, without its end
};

using Command =
    std::variant<Serve, Check, ConfigShow, ConfigDefault, ConfigSchema, Status, Top, Recycle, Reload, Upgrade, Trace,
                 ReopenLogs, Stop, Worker, Zygote, Rehearse, Resume, Return, Version, Help, UsageError>;

// `arguments` without argv[0].
Command parse_command_line(const std::vector<std::string>& arguments);

}  // namespace stint::cli
