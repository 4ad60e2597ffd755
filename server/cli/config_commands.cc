#include "server/cli/config_commands.h"

#include "server/control/control_place.h"
#include "server/http/access_log.h"

#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>

namespace stint::cli {
namespace {

constexpr int exit_failed = 1;
constexpr int exit_invalid = 2;

constexpr const char* default_file = "stint.toml";

int print(const std::string& text) {
  if (std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0) return 0;
  std::fprintf(stderr, "stint: %s\n", system_error("write to standard output").text().c_str());
  return exit_failed;
}

Result<std::string> working_directory() {
  char path[PATH_MAX];
  if (!::getcwd(path, sizeof path)) return system_error("find the working directory");
  return std::string(path);
}

// The file whose settings count, if any.
std::optional<std::string> settings_file(const std::optional<std::string>& named) {
  if (named) return named;
  if (::access(default_file, F_OK) == 0) return default_file;
  return std::nullopt;
}

bool is_absolute(const std::optional<std::string>& path) { return path && path->starts_with('/'); }

// The file's text and what its paths are relative to. A server outlives the folder that it was started in, which a
// deploy may remove: what a file with an absolute name says does not depend on it.
std::variant<config::Input, config::Problems> read_input(const std::optional<std::string>& named) {
  config::Input input;
  const auto directory = working_directory();
  if (!directory.has_value() && !is_absolute(named)) return config::Problems{{"", 0, 0, directory.error().text()}};
  input.working_directory = directory.has_value() ? *directory : "/";
  if (const auto file = settings_file(named)) {
    auto source = config::read_source(*file);
    if (!source.has_value()) return config::Problems{{"", 0, 0, source.error().text()}};
    input.source = std::move(*source);
  }
  return input;
}

// What a LogFormat string may say is server/http's to know.
std::optional<config::Problem> log_format_problem(const config::Loaded& loaded) {
  const auto format = http::AccessLogFormat::compile(loaded.settings.log.format);
  if (format.has_value()) return std::nullopt;
  return config::Problem{loaded.origins.at("log.format"), 0, 0, "log.format: " + format.error().text()};
}

}  // namespace

std::string settings_path(const SettingsArguments& arguments) {
  const auto file = settings_file(arguments.file);
  if (is_absolute(file)) return *file;
  const auto directory = working_directory();
  if (!file || !directory.has_value()) return "";
  return (std::filesystem::path(*directory) / *file).lexically_normal().string();
}

std::variant<config::Loaded, config::Problems> load_settings(const SettingsArguments& arguments) {
  auto input = read_input(arguments.file);
  if (auto* problems = std::get_if<config::Problems>(&input)) return std::move(*problems);
  auto& complete = std::get<config::Input>(input);
  complete.overrides = arguments.overrides;
  if (const char* port = std::getenv("PORT")) complete.port = port;
  auto loaded = config::load(complete);
  if (const auto* valid = std::get_if<config::Loaded>(&loaded)) {
    if (auto problem = log_format_problem(*valid)) return config::Problems{std::move(*problem)};
  }
  return loaded;
}

std::variant<std::string, config::Problems> find_control_socket(const ServerArguments& arguments) {
  if (arguments.socket) return *arguments.socket;
  auto input = read_input(arguments.file);
  if (auto* problems = std::get_if<config::Problems>(&input)) return std::move(*problems);
  auto& complete = std::get<config::Input>(input);
  // The server runs already: which application it serves, and whether its folders are still there, is not asked here.
  complete.overrides = {{"app.module", "any:application", ""}};
  complete.check_folders = complete.find_account = false;
  auto loaded = config::load(complete);
  if (auto* problems = std::get_if<config::Problems>(&loaded)) return std::move(*problems);
  const std::string& path = std::get<config::Loaded>(loaded).settings.control_socket;
  return path.empty() ? control::default_control_path() : path;
}

void print_problems(const config::Problems& problems) {
  for (const config::Problem& problem : problems)
    std::fprintf(stderr, "%s%s\n", problem.file.empty() ? "stint: " : "", problem.text().c_str());
}

int run(const Check& command) {
  const auto loaded = load_settings(command.settings);
  if (const auto* problems = std::get_if<config::Problems>(&loaded)) {
    print_problems(*problems);
    return exit_invalid;
  }
  return print(settings_file(command.settings.file).value_or("settings") + ": fine\n");
}

int run(const ConfigShow& command) {
  const auto loaded = load_settings(command.settings);
  if (const auto* problems = std::get_if<config::Problems>(&loaded)) {
    print_problems(*problems);
    return exit_invalid;
  }
  const auto& shown = std::get<config::Loaded>(loaded);
  return print(config::to_toml(shown.settings, &shown.origins));
}

int run(const ConfigDefault&) { return print(config::default_toml()); }

int run(const ConfigSchema&) { return print(config::json_schema()); }

}  // namespace stint::cli
