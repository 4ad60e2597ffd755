// Settings as an operator might write them. A comment line "#! KEY=VALUE" stands for a --set of the command line.
// Promises:
// - load() returns: settings, or problems; it throws nothing;
// - a problem says what, and where: the file with a line it has, or the option;
// - settings written by to_toml() load, elsewhere, to the same settings: that is how workers get them.
#include "config/loader.h"

#include "tests/fuzz/promise.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <variant>

namespace stint::fuzz {
namespace {

config::Input input_of(std::string_view text) {
  config::Input input;
  input.source = config::Source{"/srv/mysite/site.toml", std::string(text)};
  input.working_directory = "/home/someone";
  input.check_folders = input.find_account = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    at = end + 1;
    if (!line.starts_with("#! ")) continue;
    line.remove_prefix(3);
    const std::size_t equals = std::min(line.find('='), line.size());
    const std::string value(line.substr(std::min(equals + 1, line.size())));
    input.overrides.push_back({std::string(line.substr(0, equals)), value, "--set"});
  }
  return input;
}

void check_problems(const config::Problems& problems, std::string_view text) {
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  promise(!problems.empty(), "what does not load has problems");
  for (const config::Problem& problem : problems) {
    const std::string shown = problem.text();
    promise(!problem.what.empty(), "a problem says what");
    promise(!problem.file.empty(), "a problem says where", shown);
    promise(problem.line <= lines, "a problem is in a line of the file", shown);
    promise((problem.line > 0) == (problem.column > 0), "a place is a line and a column", shown);
    // What is missing has no place, nor has the command line.
    const bool has_place =
        problem.line > 0 || problem.file == "--set" || problem.what.find("is not set") != problem.what.npos;
    promise(has_place, "a problem of the file has a place in it", shown);
  }
}

}  // namespace
}  // namespace stint::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stint;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto loaded = config::load(fuzz::input_of(text));
  if (const auto* problems = std::get_if<config::Problems>(&loaded)) {
    fuzz::check_problems(*problems, text);
    return 0;
  }
  const auto& [settings, origins] = std::get<config::Loaded>(loaded);
  for (const auto* shown : {static_cast<decltype(&origins)>(nullptr), &origins}) {
    config::Input again;
    again.source = config::Source{"settings of the supervisor", config::to_toml(settings, shown)};
    again.working_directory = "/nowhere";
    again.check_folders = again.find_account = false;
    const auto second = config::load(again);
    if (const auto* problems = std::get_if<config::Problems>(&second))
      fuzz::promise(false, "settings that are written can be read", problems->front().text() + again.source->text);
    fuzz::promise(std::get<config::Loaded>(second).settings == settings, "settings are read as they were written",
                  again.source->text);
  }
  return 0;
}
