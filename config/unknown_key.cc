#include "config/unknown_key.h"

#include "config/schema.h"
#include "config/suggestion.h"

#include <algorithm>
#include <vector>

namespace stint::config {
namespace {

std::string in_quotes(std::string_view text) { return "'" + std::string(text) + "'"; }

std::string header_of(std::string_view path) {
  const Key* key = find_key(path);
  return key && std::holds_alternative<StaticRoots>(key->kind) ? "[[" + std::string(path) + "]]"
                                                               : "[" + std::string(path) + "]";
}

// Every path that can be written in a file: keys, tables and the columns of [[static]].
std::vector<std::string> all_paths() {
  std::vector<std::string> paths;
  for (const Key& key : keys()) {
    paths.emplace_back(key.path);
    if (std::holds_alternative<StaticRoots>(key.kind))
      for (const StaticColumn& column : static_columns)
        paths.push_back(std::string(key.path) + "." + std::string(column.name));
  }
  for (const Table& table : tables())
    if (is_table(table.path) && !table.path.empty()) paths.emplace_back(table.path);
  return paths;
}

bool is_header(std::string_view path) { return is_table(path) || header_of(path).starts_with("[["); }

// "'count'" or "[app.workers]", wherever that is.
std::string place_of(const std::string& path) {
  if (is_header(path)) return header_of(path);
  const std::string_view table = table_part(path);
  return in_quotes(name_part(path)) + (table.empty() ? " at the top" : " of " + header_of(table));
}

}  // namespace

std::string unknown_in_file(std::string_view table, std::string_view name, bool is_table_there) {
  const std::vector<std::string> paths = all_paths();
  const std::string full = table.empty() ? std::string(name) : std::string(table) + "." + std::string(name);

  // The right name in the wrong table is the commonest slip: TOML's headers reach further than one thinks.
  for (const std::string& path : paths) {
    if (name_part(path) != name || is_header(path) != is_table_there) continue;
    if (is_table_there) return "unknown table [" + full + "]; did you mean " + header_of(path) + "?";
    const std::string_view home = table_part(path);
    if (home.empty()) return in_quotes(name) + " belongs at the top of the file, before the first [table]";
    return in_quotes(name) + " belongs to " + header_of(home);
  }

  const std::string what = is_table_there
                               ? "unknown table [" + full + "]"
                               : "unknown key " + in_quotes(name) + (table.empty() ? "" : " in " + header_of(table));
  std::vector<std::string_view> siblings;
  for (const std::string& path : paths)
    if (table_part(path) == table) siblings.push_back(name_part(path));
  if (const std::string_view meant = nearest(name, siblings); !meant.empty()) {
    const std::string path = table.empty() ? std::string(meant) : std::string(table) + "." + std::string(meant);
    return what + "; did you mean " + (is_header(path) ? header_of(path) : in_quotes(meant)) + "?";
  }
  std::vector<std::string_view> names;
  for (const std::string& path : paths) names.push_back(name_part(path));
  if (const std::string_view meant = nearest(name, names); !meant.empty())
    for (const std::string& path : paths)
      if (name_part(path) == meant) return what + "; did you mean " + place_of(path) + "?";
  return what;
}

std::string unknown_on_command_line(std::string_view path) {
  const std::string what = "unknown key " + in_quotes(path);
  if (is_table(path)) return in_quotes(path) + " is a table; name one of its keys";
  std::vector<std::string_view> known, names;
  for (const Key& key : keys()) {
    if (key.name() == path) return what + "; did you mean " + in_quotes(key.path) + "?";
    known.push_back(key.path);
    names.push_back(key.name());
  }
  if (const auto meant = nearest(path, known); !meant.empty()) return what + "; did you mean " + in_quotes(meant) + "?";
  if (const auto meant = nearest(name_part(path), names); !meant.empty())
    return what + "; did you mean " + in_quotes(std::ranges::find(keys(), meant, &Key::name)->path) + "?";
  return what;
}

}  // namespace stint::config
