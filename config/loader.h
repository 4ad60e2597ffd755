// TOML text and command line → Settings, or every problem at once. Reads files, opens nothing else.
#pragma once

#include "stint/result.h"
#include "stint/settings.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace stint::config {

// One thing wrong. text(): "site.toml:12:3: unknown key 'max_request'; did you mean 'max_requests'?"
struct Problem {
  std::string file;   // or the option: "--workers"
  unsigned line = 0;  // 0: no place in a file
  unsigned column = 0;
  std::string what;
  std::string text() const;
};
using Problems = std::vector<Problem>;

// A key given on the command line: value in TOML syntax, except that a bare word or path is taken as a string where the
// key is one.
struct Override {
  std::string key;     // "app.workers.count"
  std::string value;   // "4"
  std::string origin;  // "--workers", for messages and `config show`
};

struct Source {
  std::string file;  // name for messages; relative paths in the text are relative to its folder
  std::string text;
};

struct Input {
  std::optional<Source> source;
  std::vector<Override> overrides;
  std::optional<std::string> port;  // the environment's PORT: listens on 0.0.0.0:PORT when nothing names a listener
  std::string working_directory;    // absolute; for relative paths on the command line and as app.directory's default
  // Both false in a worker, which gets settings that were checked before: a folder that is away for a moment (a deploy)
  // must not keep a replacement from starting, and who the workers' user is was settled there.
  bool check_folders = true;
  bool find_account = true;
};

struct Loaded {
  Settings settings;
  std::map<std::string, std::string> origins;  // key → "default", "site.toml:3", "--workers", "environment PORT"
};

Result<Source> read_source(const std::string& path);  // error: "read site.toml: No such file or directory"
std::variant<Loaded, Problems> load(const Input& input);

// Every key with its effective value, as TOML that loads to the same Settings. With origins: a comment beside each.
std::string to_toml(const Settings& settings, const std::map<std::string, std::string>* origins = nullptr);
// Every key with its default and help: the text of config/default.toml.
std::string default_toml();
std::string json_schema();

}  // namespace stint::config
