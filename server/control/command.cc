#include "server/control/command.h"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <cstdint>

namespace stint::control {

namespace json = boost::json;

std::string encode_command(const Command& command) {
  json::object object;
  if (std::holds_alternative<StatusCommand>(command)) object["command"] = "status";
  if (std::holds_alternative<UpgradeCommand>(command)) object["command"] = "upgrade";
  if (std::holds_alternative<ReopenLogsCommand>(command)) object["command"] = "reopen_logs";
  if (std::holds_alternative<StopCommand>(command)) object["command"] = "stop";
  if (const auto* recycle = std::get_if<RecycleCommand>(&command)) {
    object["command"] = "recycle";
    if (recycle->slot) object["slot"] = *recycle->slot;
  }
  if (const auto* reload = std::get_if<ReloadCommand>(&command)) {
    object["command"] = "reload";
    object["only_settings"] = reload->only_settings;
  }
  if (const auto* trace = std::get_if<TraceCommand>(&command)) {
    object["command"] = "trace";
    if (trace->slot) object["slot"] = *trace->slot;
  }
  return json::serialize(object);
}

namespace {

Result<std::optional<unsigned>> slot_in(const json::object& object) {
  const json::value* slot = object.if_contains("slot");
  if (slot == nullptr || slot->is_null()) return std::optional<unsigned>();
  if (!slot->is_int64() || slot->get_int64() < 1 || slot->get_int64() > 1'000'000)
    return error_because("'slot' is a number from 1 on");
  return std::optional(static_cast<unsigned>(slot->get_int64()));
}

}  // namespace

Result<Command> decode_command(std::string_view text) {
  boost::system::error_code code;
  const json::value value = json::parse(text, code);
  if (code || !value.is_object()) return error_because("a command is one JSON object");
  const json::object& object = value.get_object();
  const json::value* name = object.if_contains("command");
  if (name == nullptr || !name->is_string()) return error_because("no 'command' in the request");

  const std::string_view word = name->get_string();
  if (word == "status") return Command(StatusCommand{});
  if (word == "upgrade") return Command(UpgradeCommand{});
  if (word == "reopen_logs") return Command(ReopenLogsCommand{});
  if (word == "stop") return Command(StopCommand{});
  if (word == "reload") {
    ReloadCommand reload;
    if (const json::value* only = object.if_contains("only_settings"); only != nullptr) {
      if (!only->is_bool()) return error_because("'only_settings' is true or false");
      reload.only_settings = only->get_bool();
    }
    return Command(reload);
  }
  if (word == "recycle") {
    const auto slot = slot_in(object);
    return slot ? Result<Command>(RecycleCommand{*slot}) : slot.error();
  }
  if (word == "trace") {
    const auto slot = slot_in(object);
    return slot ? Result<Command>(TraceCommand{*slot}) : slot.error();
  }
  return error_because("unknown command '" + std::string(word) +
                       "'; there are status, recycle, reload, upgrade, trace, reopen_logs and stop");
}

}  // namespace stint::control
