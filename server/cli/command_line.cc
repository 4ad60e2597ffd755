#include "server/cli/command_line.h"

#include "config/suggestion.h"
#include "config/toml_text.h"

// The parts of CLI11 that are used; <CLI/CLI.hpp> would bring its timer and more.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <algorithm>
#include <charconv>
#include <iterator>

namespace stint::cli {
namespace {

// What CLI11 writes the words of one sub-command into.
struct SettingsWords {
  bool is_dev = false;
  std::string file, module, workers, threads, directory, venv, access_log;
  std::vector<std::string> listen, set;
};
struct ServerWords {
  std::string file, socket;
};

std::string toml_array(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text += (text.empty() ? "" : ", ") + config::toml_string(value);
  return "[" + text + "]";
}

void add_settings_options(CLI::App& command, SettingsWords& words) {
  command.add_option("application", words.module, "The WSGI application, such as mysite.wsgi:application")
      ->type_name("MODULE:CALLABLE");
  command.add_option("-c,--config", words.file, "Settings file (default: ./stint.toml when there is one)")
      ->type_name("FILE");
  command.add_option("--listen", words.listen, "127.0.0.1:8000, [::1]:8000 or unix:PATH; may be given several times")
      ->type_name("ADDRESS")
      ->allow_extra_args(false);
  command.add_option("--workers", words.workers, "Number of worker processes, or auto")->type_name("N");
  command.add_option("--threads", words.threads, "Requests at a time in a worker")->type_name("N");
  command.add_option("--directory", words.directory, "Working directory of the application")->type_name("FOLDER");
  command.add_option("--venv", words.venv, "Its virtual environment")->type_name("FOLDER");
  command.add_option("--access-log", words.access_log, "File of the access log; - is standard output")
      ->type_name("PATH");
  command.add_flag("--dev", words.is_dev,
                   "For development: reload when sources change, show tracebacks in the browser");
  command.add_option("--set", words.set, "Any key: --set app.recycle.max_requests=1000; may be given several times")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
}

void add_server_options(CLI::App& command, ServerWords& words) {
  command.add_option("-c,--config", words.file, "Settings file of the server (default: ./stint.toml)")
      ->type_name("FILE");
  command.add_option("--socket", words.socket, "Its control socket")->type_name("PATH");
}

ServerArguments server_arguments(const CLI::App& command, const ServerWords& words) {
  ServerArguments arguments;
  if (command.count("--config")) arguments.file = words.file;
  if (command.count("--socket")) arguments.socket = words.socket;
  return arguments;
}

// "serve", "config show": the sub-command that was reached, as it was typed.
std::string typed_name(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  const std::string above = parent ? typed_name(*parent) : std::string();
  return above.empty() ? command.get_name() : above + " " + command.get_name();
}

const CLI::App& reached(const CLI::App& app) {
  const auto below = app.get_subcommands();
  return below.empty() ? app : reached(*below.front());
}

// "; did you mean '--workers'?" or nothing.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& known) {
  const std::vector<std::string_view> views(known.begin(), known.end());
  const std::string_view meant = config::nearest(word, views);
  return meant.empty() ? "" : "; did you mean '" + std::string(meant) + "'?";
}

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

std::vector<std::string> command_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::App* below : command.get_subcommands(nullptr)) names.push_back(below->get_name());
  return names;
}

std::string see_help(const CLI::App& command) { return " (see: " + typed_name(command) + " --help)"; }

// The options as overrides, --set last so that it wins. An empty key is refused by the loader, like any unknown one.
std::variant<SettingsArguments, UsageError> settings_arguments(const CLI::App& command, const SettingsWords& words) {
  SettingsArguments arguments;
  if (command.count("--config")) arguments.file = words.file;
  const auto add = [&](const char* option, const char* key, std::string value, const char* origin) {
    if (command.count(option)) arguments.overrides.push_back({key, std::move(value), origin});
  };
  add("application", "app.module", words.module, "command line");
  add("--listen", "listen", toml_array(words.listen), "--listen");
  add("--workers", "app.workers.count", words.workers, "--workers");
  add("--threads", "app.workers.threads", words.threads, "--threads");
  add("--directory", "app.directory", words.directory, "--directory");
  add("--venv", "app.venv", words.venv, "--venv");
  add("--access-log", "log.access", words.access_log, "--access-log");
  if (words.is_dev) {
    for (const auto& [key, value] :
         {std::pair{"app.show_errors", "true"}, {"reload.watch", "true"}, {"reload.settle", "0"}})
      arguments.overrides.push_back({key, value, "--dev"});
  }
  for (const std::string& assignment : words.set) {
    const auto equals = assignment.find('=');
    if (equals == assignment.npos || equals == 0)
      return UsageError{typed_name(command) + ": --set wants KEY=VALUE, not '" + assignment + "'" + see_help(command)};
    arguments.overrides.push_back({assignment.substr(0, equals), assignment.substr(equals + 1), "--set"});
  }
  return arguments;
}

// A word that no command or option takes.
UsageError unexpected(const CLI::App& app) {
  const CLI::App& command = reached(app);
  std::vector<std::string> rest = app.remaining(true);
  const std::string word = rest.empty() ? std::string() : rest.front();
  const std::string where = typed_name(command) + ": ";
  if (word.starts_with('-')) {
    const std::string name = word.substr(0, word.find('='));
    return {where + "unknown option '" + name + "'" + did_you_mean(name, option_names(command)) + see_help(command)};
  }
  const std::vector<std::string> names = command_names(command);
  if (names.empty()) return {where + "'" + word + "' is one word too many" + see_help(command)};
  if (word.find(':') != word.npos)
    return {where + "unknown command '" + word + "'; did you mean 'stint serve " + word + "'?" + see_help(command)};
  return {where + "unknown command '" + word + "'" + did_you_mean(word, names) + see_help(command)};
}

// CLI11's message as one line of ours.
UsageError usage_error(const CLI::App& app, const CLI::Error& error) {
  const CLI::App& command = reached(app);
  std::string what = error.what();
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error))  // "--workers: 1 required N missing" and its kin
    what = what.substr(0, what.find(':')) + " wants one value, and only once";
  std::ranges::replace(what, '\n', ' ');
  while (!what.empty() && (what.back() == ' ' || what.back() == '.')) what.pop_back();
  return {typed_name(command) + ": " + what + see_help(command)};
}

// As CLI11 wants them: from the last to the first. "--access-log=" becomes two words, because CLI11 would take the word
// after it as the value.
std::vector<std::string> words_for_cli11(const std::vector<std::string>& arguments) {
  std::vector<std::string> words;
  for (const std::string& argument : arguments) {
    const bool has_empty_value = argument.starts_with("--") && argument.find('=') == argument.size() - 1;
    words.push_back(has_empty_value ? argument.substr(0, argument.size() - 1) : argument);
    if (has_empty_value) words.emplace_back();
  }
  std::ranges::reverse(words);
  return words;
}

// A number that a supervisor has written; -1: it did not.
int descriptor_in(const std::string& text) {
  int number = -1;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  return code == std::errc() && end == text.data() + text.size() ? number : -1;
}

// "resume 12 13 serve …": a supervisor's words to the program that follows, in front of those that started the server.
std::optional<Command> upgrade_step(const std::vector<std::string>& arguments) {
  const std::string& role = arguments.front();
  const std::ptrdiff_t own = role == "rehearse" ? 2 : role == "resume" || role == "return" ? 3 : 0;
  if (own == 0) return std::nullopt;
  const UsageError not_from_a_supervisor{
      "stint: 'stint " + role + "' is executed by Stint's supervisor only; the order for it is 'stint upgrade'"};
  if (std::ssize(arguments) <= own) return not_from_a_supervisor;
  Command rest = parse_command_line({arguments.begin() + own, arguments.end()});
  const int state = descriptor_in(arguments[1]);
  auto* const serve = std::get_if<Serve>(&rest);
  if (serve == nullptr || state < 0) return not_from_a_supervisor;
  if (role == "rehearse") return Rehearse{state, std::move(*serve)};
  if (role == "return") return Return{state, arguments[2], std::move(*serve)};
  return Resume{state, descriptor_in(arguments[2]), std::move(*serve)};
}

}  // namespace

Command parse_command_line(const std::vector<std::string>& arguments) {
  // The supervisor's own words to a worker or a zygote are no concern of CLI11's, nor in any help.
  if (!arguments.empty() && arguments.front() == "worker") return Worker{arguments};
  if (!arguments.empty() && arguments.front() == "zygote") return Zygote{arguments};
  if (!arguments.empty())
    if (auto step = upgrade_step(arguments)) return std::move(*step);

  CLI::App app("Serves a WSGI application with worker processes that are replaced without a dropped connection.",
               "stint");
  bool is_version = false;
  app.add_flag("--version", is_version, "Print the version and exit");

  SettingsWords settings;
  ServerWords server;
  CLI::App* serve = app.add_subcommand("serve", "Serve the application, in the foreground");
  CLI::App* check = app.add_subcommand("check", "Say everything that is wrong with the settings");
  CLI::App* config = app.add_subcommand("config", "Print settings");
  CLI::App* show = config->add_subcommand("show", "The settings that count, and where each comes from");
  CLI::App* defaults = config->add_subcommand("default", "Every key with its help and its default, as TOML");
  CLI::App* schema = config->add_subcommand("schema", "The JSON Schema of the settings file, for editors");
  CLI::App* status = app.add_subcommand("status", "What the workers of the running server do");
  CLI::App* top = app.add_subcommand("top", "The same every second, with all requests that run");
  CLI::App* reload =
      app.add_subcommand("reload", "Start new code and settings beside the old; they take over when they are ready");
  CLI::App* upgrade =
      app.add_subcommand("upgrade", "Go on with the new program in Stint's file, then with new workers");
  CLI::App* recycle = app.add_subcommand("recycle", "Replace one worker, or all of them one by one");
  CLI::App* trace = app.add_subcommand("trace", "The Python stacks of the requests that run");
  CLI::App* reopen_logs = app.add_subcommand("reopen-logs", "Open the log files anew, after a rotation");
  CLI::App* stop = app.add_subcommand("stop", "Finish what runs and stop the server");
  for (CLI::App* command : {serve, check, show}) add_settings_options(*command, settings);
  for (CLI::App* command : {status, top, recycle, reload, upgrade, trace, reopen_logs, stop})
    add_server_options(*command, server);
  bool is_json = false;
  for (CLI::App* command : {status, trace}) command->add_flag("--json", is_json, "As JSON");
  bool waits = false;
  stop->add_flag("--wait", waits, "Return when the server has gone");
  bool only_settings = false;
  reload->add_flag("--wait", waits, "Return when the new generation serves (0), or has failed (1)");
  upgrade->add_flag("--wait", waits, "Return when its workers serve (0), or it has failed (1)");
  reload->add_flag("--settings", only_settings, "Settings only: what costs nothing is taken up without new workers");
  unsigned slot = 0;
  for (CLI::App* command : {recycle, trace}) {
    command->add_option("slot", slot, "The worker's place in the pool: 1, 2, …")
        ->type_name("SLOT")
        ->check(CLI::Range(1u, 1024u));
  }

  try {
    app.parse(words_for_cli11(arguments));
  } catch (const CLI::CallForHelp&) {
    return Help{app.help()};
  } catch (const CLI::ExtrasError&) {
    return unexpected(app);
  } catch (const CLI::Error& error) {
    return usage_error(app, error);
  }
  if (is_version) return Version{};

  const auto with_settings = [&]<class Asked>(const CLI::App& command, Asked) -> Command {
    auto parsed = settings_arguments(command, settings);
    if (auto* error = std::get_if<UsageError>(&parsed)) return *error;
    return Asked{std::get<SettingsArguments>(std::move(parsed))};
  };
  if (serve->parsed()) return with_settings(*serve, Serve{});
  if (check->parsed()) return with_settings(*check, Check{});
  if (show->parsed()) return with_settings(*show, ConfigShow{});
  if (defaults->parsed()) return ConfigDefault{};
  if (schema->parsed()) return ConfigSchema{};
  if (status->parsed()) return Status{server_arguments(*status, server), is_json};
  if (top->parsed()) return Top{server_arguments(*top, server)};
  const auto slot_of = [&](const CLI::App& command) {
    return command.count("slot") > 0 ? std::optional(slot) : std::nullopt;
  };
  if (recycle->parsed()) return Recycle{server_arguments(*recycle, server), slot_of(*recycle)};
  if (trace->parsed()) return Trace{server_arguments(*trace, server), slot_of(*trace), is_json};
  if (reload->parsed()) return Reload{server_arguments(*reload, server), only_settings, waits};
  if (upgrade->parsed()) return Upgrade{server_arguments(*upgrade, server), waits};
  if (reopen_logs->parsed()) return ReopenLogs{server_arguments(*reopen_logs, server)};
  if (stop->parsed()) return Stop{server_arguments(*stop, server), waits};
  if (config->parsed()) return UsageError{"stint config: say which: show, default or schema" + see_help(*config)};
  return UsageError{"stint: say what to do, such as: stint serve mysite.wsgi:application" + see_help(app)};
}

}  // namespace stint::cli
