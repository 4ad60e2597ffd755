// Settings → TOML. What is written here loads to the same settings wherever it is read: every key is there, every
// path is absolute.
#include "config/toml_text.h"

#include "config/loader.h"
#include "config/units.h"

namespace stint::config {
namespace {

template <class Values, class Write>
std::string joined(const Values& values, Write write) {
  std::string text;
  for (const auto& value : values) text += (text.empty() ? "" : ", ") + write(value);
  return text;
}

struct ValueWriter {
  const Settings& settings;

  std::string operator()(const Text& kind) const { return toml_string(value_of(kind.in, settings)); }
  std::string operator()(const Number& kind) const {
    return std::visit([&](auto in) { return std::to_string(value_of(in, settings)); }, kind.in);
  }
  std::string operator()(const Integer& kind) const { return std::to_string(value_of(kind.in, settings)); }
  std::string operator()(const Limit& kind) const {
    const auto limit = value_of(kind.in, settings);
    if (!limit) return R"("inherit")";
    if (*limit == LimitsSettings::unlimited) return R"("unlimited")";
    return kind.is_size && *limit != 0 ? toml_string(text_of(Bytes{*limit})) : std::to_string(*limit);
  }
  std::string operator()(const Mask& kind) const {
    const auto mask = value_of(kind.in, settings);
    if (!mask) return R"("")";
    return {'"', '0', digit(*mask >> 6), digit(*mask >> 3), digit(*mask), '"'};
  }
  static char digit(unsigned bits) { return static_cast<char>('0' + (bits & 7)); }
  std::string operator()(const Switch& kind) const { return value_of(kind.in, settings) ? "true" : "false"; }
  std::string operator()(const WorkerCount& kind) const {
    const std::string count = std::to_string(value_of(kind.in, settings));
    const unsigned max = value_of(kind.max_in, settings);
    return max == 0 ? count : "{ min = " + count + ", max = " + std::to_string(max) + " }";
  }
  std::string operator()(const Time& kind) const { return toml_string(text_of(value_of(kind.in, settings))); }
  std::string operator()(const Size& kind) const {
    const Bytes size = value_of(kind.in, settings);
    return size.count == 0 ? "0" : toml_string(text_of(size));
  }
  std::string operator()(const Budget& kind) const {
    const Bytes size = value_of(kind.in, settings);
    return size.count == 0 ? R"("auto")" : toml_string(text_of(size));
  }
  std::string operator()(const Level& kind) const {
    return toml_string(log_level_names[static_cast<std::size_t>(value_of(kind.in, settings))]);
  }
  std::string operator()(const Start& kind) const {
    return toml_string(start_mode_names[static_cast<std::size_t>(value_of(kind.in, settings))]);
  }
  std::string operator()(const Targets& kind) const {
    return "[" + joined(value_of(kind.in, settings), [](const std::string& target) { return toml_string(target); }) +
           "]";
  }
  std::string operator()(const Listeners& kind) const {
    return "[" + joined(value_of(kind.in, settings), [](const ListenAddress& a) { return toml_string(a.text()); }) +
           "]";
  }
  std::string operator()(const Networks& kind) const {
    return "[" + joined(value_of(kind.in, settings), [](const Network& n) { return toml_string(n.text()); }) + "]";
  }
  std::string operator()(const ForwardedFields& kind) const {
    const auto name = [](ForwardedField field) {
      return toml_string(forwarded_field_names[static_cast<std::size_t>(field)]);
    };
    return "[" + joined(value_of(kind.in, settings), name) + "]";
  }
  std::string operator()(const Environment& kind) const {
    const auto& variables = value_of(kind.in, settings);
    if (variables.empty()) return "{}";
    return "{ " +
           joined(variables, [](const auto& v) { return toml_string(v.first) + " = " + toml_string(v.second); }) + " }";
  }
  std::string operator()(const StaticRoots& kind) const {
    const auto table = [](const StaticSettings& root) {
      return "{ " +
             joined(static_columns,
                    [&root](const StaticColumn& column) {
                      return std::string(column.name) + " = " + column_text(column, root);
                    }) +
             " }";
    };
    return "[" + joined(value_of(kind.in, settings), table) + "]";
  }

  static std::string column_text(const StaticColumn& column, const StaticSettings& root) {
    if (const auto* in = std::get_if<std::string StaticSettings::*>(&column.in)) return toml_string(root.**in);
    return root.*std::get<bool StaticSettings::*>(column.in) ? "true" : "false";
  }
};

std::string header(const Table& table) {
  return table.path.empty() ? std::string() : "[" + std::string(table.path) + "]\n";
}

// The keys of `table` in the order of the schema; the callback gets each.
template <class Use>
void for_each_key_of(const Table& table, Use use) {
  for (const Key& key : keys())
    if (key.table() == table.path && !std::holds_alternative<StaticRoots>(key.kind)) use(key);
}

std::string static_tables(const Key& key, const StaticRoots& kind, const Settings& settings,
                          const std::string& origin) {
  std::string text;
  for (const StaticSettings& root : value_of(kind.in, settings)) {
    text += "\n[[" + std::string(key.path) + "]]" + origin + "\n";
    for (const StaticColumn& column : static_columns)
      text += std::string(column.name) + " = " + ValueWriter::column_text(column, root) + "\n";
  }
  return text;
}

std::string static_example(const Key& key) {
  std::string text = "# [[" + std::string(key.path) + "]]\n";
  for (const StaticColumn& column : static_columns)
    text += comment(column.help) + "# " + std::string(column.name) + " = " + std::string(column.example) + "\n";
  return text;
}

}  // namespace

std::string toml_string(std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out.append({'\\', c});
    else if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (byte < 0x20 || byte == 0x7f)
      out.append("\\u00").append({hex[byte >> 4], hex[byte & 15]});
    else
      out += c;
  }
  return out + '"';
}

std::string value_text(const Kind& kind, const Settings& settings) { return std::visit(ValueWriter{settings}, kind); }

std::string comment(std::string_view text) {
  std::string out = "# ";
  for (const char c : text) out.append(c == '\n' ? "\n# " : std::string(1, c));
  return out + "\n";
}

std::string to_toml(const Settings& settings, const std::map<std::string, std::string>* origins) {
  const auto origin_of = [&](const Key& key) -> std::string {
    if (!origins) return {};
    const auto found = origins->find(std::string(key.path));
    if (found == origins->end()) return {};
    std::string line = found->second;  // a file's name may hold anything
    for (char& c : line)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    return "  # " + line;
  };
  std::string text;
  for (const Table& table : tables()) {
    if (const Key* key = find_key(table.path)) {
      text += static_tables(*key, std::get<StaticRoots>(key->kind), settings, origin_of(*key));
      continue;
    }
    text += (text.empty() ? "" : "\n") + header(table);
    for_each_key_of(table, [&](const Key& key) {
      text += std::string(key.name()) + " = " + value_text(key.kind, settings) + origin_of(key) + "\n";
    });
  }
  return text;
}

std::string default_toml() {
  std::string text =
      "# Every key of Stint with its default. A key with a \"#\" before it has none, or one that depends on others.\n"
      "# Durations take ms, s, m, h; sizes B, KiB, MiB, GiB. Relative paths begin at this file's folder.\n"
      "# Printed by: stint config default\n";
  for (const Table& table : tables()) {
    text += "\n";
    if (!table.path.empty()) text += comment(table.help);
    if (const Key* key = find_key(table.path)) {
      text += static_example(*key);
      continue;
    }
    text += header(table);
    for_each_key_of(table, [&](const Key& key) {
      const bool has_default = !key.default_text.empty();
      text += comment(key.help) + (has_default ? "" : "# ") + std::string(key.name()) + " = " +
              std::string(has_default ? key.default_text : key.example) + "\n";
    });
  }
  return text;
}

}  // namespace stint::config
