// The one table of keys. The loader, `stint config default`, `config show`, the JSON Schema and the comparison of two
// settings at a reload all walk this table, so a key that is not here does not exist, and one that is here is
// documented. Constant data; usable in any process.
#pragma once

#include "stint/settings.h"
#include "stint/settings_change.h"

#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace stint::config {

// Where the value of a key lives.
template <class Value>
using In = Value& (*)(Settings&);

// The value of a key in settings that must not change.
template <class Value>
const Value& value_of(In<Value> in, const Settings& settings) {
  return in(const_cast<Settings&>(settings));  // the accessors only take an address
}

// The kinds of values: how one is written in TOML, and which ones are possible.

enum class TextRule {
  name,         // letters, digits, "_", "-"
  mount,        // "" or a path as "/shop"
  module,       // "package.module:callable"
  folder,       // must exist
  venv,         // "" or a folder with bin/python
  socket_path,  // "" or a path short enough for a unix socket
  access_log,   // path, "-" or ""
  error_log,    // path or "-"
  log_format,   // a known name or an Apache LogFormat string
  user_header,  // "" or the name of a field that means nothing else
  account,      // "" or the name or number of a user or a group; whether there is one, the loader asks
};
struct Text {
  In<std::string> in;
  TextRule rule;
};
struct Number {
  std::variant<In<unsigned>, In<std::uint64_t>> in;
  std::uint64_t min;
  std::uint64_t max;
};
struct Integer {  // may be negative
  In<int> in;
  int min;
  int max;
};
struct Switch {  // true or false
  In<bool> in;
};
struct WorkerCount {  // a number; "auto": the processors this process may use; or { min = 2, max = 8 }
  In<unsigned> in;
  In<unsigned> max_in;  // 0: no range
  unsigned max;
};
struct Time {  // "30s"
  In<Duration> in;
  Duration min;
  Duration max;
  bool zero_is_none;  // 0 is possible as well, and means "none" or "never"
};
struct Size {  // "64KiB"
  In<Bytes> in;
  Bytes min;
  Bytes max;
  bool zero_is_none;
};
struct Budget {  // "2GiB", or "auto": 0 bytes, what there is
  In<Bytes> in;
  Bytes min;
  Bytes max;
};
struct Limit {  // setrlimit(2): a size or a number, "inherit" or "unlimited"
  In<std::optional<std::uint64_t>> in;
  bool is_size;
  std::uint64_t min;
  std::uint64_t max;
};
struct Mask {  // umask(2): "0027", or "": the supervisor's
  In<std::optional<unsigned>> in;
};
struct Level {
  In<LogLevel> in;
};
struct Start {
  In<StartMode> in;
};
struct Targets {  // request targets: ["/", "/health"]
  In<std::vector<std::string>> in;
};
struct Listeners {
  In<std::vector<ListenAddress>> in;
};
struct Networks {  // addresses, networks or "unix"
  In<std::vector<Network>> in;
};
struct ForwardedFields {  // some of forwarded_field_names
  In<std::vector<ForwardedField>> in;
};
struct Environment {  // { NAME = "value" }
  In<std::map<std::string, std::string>> in;
};
struct StaticRoots {  // [[static]], one table for each; its keys are static_columns
  In<std::vector<StaticSettings>> in;
};
using Kind = std::variant<Text, Number, Integer, Switch, WorkerCount, Time, Size, Budget, Limit, Mask, Level, Start,
                          Targets, Listeners, Networks, ForwardedFields, Environment, StaticRoots>;

// Is a value of this kind an array of strings?
inline bool is_list_of_texts(const Kind& kind) {
  return std::holds_alternative<Targets>(kind) || std::holds_alternative<Listeners>(kind) ||
         std::holds_alternative<Networks>(kind) || std::holds_alternative<ForwardedFields>(kind);
}

struct StaticColumn {
  std::string_view name;
  std::variant<std::string StaticSettings::*, bool StaticSettings::*> in;  // a text is required, a switch may be absent
  std::string_view example;
  std::string_view help;
};
inline constexpr StaticColumn static_columns[] = {
    {"url", &StaticSettings::url, R"("/static/")", "Prefix of the path, from \"/\" to \"/\"."},
    {"root", &StaticSettings::root, R"("/srv/mysite/static")", "The folder that holds the files."},
    {"internal", &StaticSettings::is_internal, "false",
     "true: no client reaches these files by the url; the application has one of them sent as its answer, with the "
     "field\n"
     "X-Sendfile: PATH (below `root`) or X-Accel-Redirect: URL (below `url`)."},
};

struct Key {
  std::string_view path;  // "app.workers.count"
  Kind kind;
  std::string_view default_text;  // TOML that is JSON as well; empty: no default, or one that the loader works out
  std::string_view example;       // TOML, where there is no default_text
  ChangeCost change;
  std::string_view help;

  std::string_view table() const;  // "app.workers"; empty for a key at the top
  std::string_view name() const;   // "count"
};

struct Table {
  std::string_view path;  // empty: the top of the file
  std::string_view help;
};

std::span<const Key> keys();      // in the order of the default file
std::span<const Table> tables();  // likewise; [[static]] is in both

const Key* find_key(std::string_view path);
bool is_table(std::string_view path);  // not for "static", which is a key with a value

// The parts of a dotted path: of "a.b.c", "a.b" and "c".
std::string_view table_part(std::string_view path);
std::string_view name_part(std::string_view path);

inline constexpr std::string_view log_level_names[] = {"debug", "info", "warning", "error"};  // indexed by LogLevel
inline constexpr std::string_view start_mode_names[] = {"fresh", "fork"};                     // indexed by StartMode
inline constexpr std::string_view log_format_names[] = {"combined", "common", "json"};

}  // namespace stint::config
