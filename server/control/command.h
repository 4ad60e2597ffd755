// What the operator's commands ask of a running server, as one JSON object on its socket; the answer is another one.
// An answer {"error": "sentence"} means that it was not done.
#pragma once

#include "stint/result.h"

#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace stint::control {

struct StatusCommand {};
struct RecycleCommand {
  std::optional<unsigned> slot;  // nullopt: all, one by one
};
struct ReloadCommand {
  bool only_settings = false;  // what costs nothing is taken up without a new generation
};
struct UpgradeCommand {};
struct TraceCommand {
  std::optional<unsigned> slot;  // nullopt: all
};
struct ReopenLogsCommand {};
struct StopCommand {};

using Command = std::variant<StatusCommand, RecycleCommand, ReloadCommand, UpgradeCommand, TraceCommand,
                             ReopenLogsCommand, StopCommand>;

std::string encode_command(const Command& command);
Result<Command> decode_command(std::string_view text);

}  // namespace stint::control
