// Short ways to load a TOML text in a test.
#pragma once

#include "config/loader.h"
#include "tests/support/catch.h"

#include <string>
#include <vector>

namespace stint::config {

inline Input input_of(std::string toml) {
  Input input;
  input.source = Source{"/srv/mysite/site.toml", std::move(toml)};
  input.working_directory = "/home/someone";
  input.check_folders = input.find_account = false;
  return input;
}

// Each problem's text, with the file's long name cut off.
inline std::vector<std::string> problems_of(const Input& input) {
  const auto loaded = load(input);
  std::vector<std::string> texts;
  if (const auto* problems = std::get_if<Problems>(&loaded))
    for (const Problem& problem : *problems) {
      const std::string text = problem.text();
      const std::string long_name = "/srv/mysite/";
      texts.push_back(text.starts_with(long_name) ? text.substr(long_name.size()) : text);
    }
  return texts;
}

inline Loaded loaded_of(const Input& input) {
  auto loaded = load(input);
  for (const std::string& problem : problems_of(input)) FAIL_CHECK(problem);
  REQUIRE(std::holds_alternative<Loaded>(loaded));
  return std::get<Loaded>(std::move(loaded));
}

inline Settings settings_of(const Input& input) { return loaded_of(input).settings; }

}  // namespace stint::config
