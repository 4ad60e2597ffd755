// The table of keys as JSON Schema 2020-12, for editors that complete and check TOML.
#include "config/loader.h"
#include "config/schema.h"
#include "config/toml_text.h"
#include "config/units.h"

namespace stint::config {
namespace {

constexpr std::string_view duration_pattern = R"("^[0-9]+(ms|s|m|h)$")";
constexpr std::string_view size_pattern = R"("^[0-9]+(B|KiB|MiB|GiB)$")";

std::string quantity(std::string_view pattern, bool zero_is_none) {
  const std::string text = R"("type": "string", "pattern": )" + std::string(pattern);
  return zero_is_none ? R"("anyOf": [{)" + text + R"(}, {"const": 0}])" : text;
}

std::string range(std::uint64_t min, std::uint64_t max) {
  return R"("type": "integer", "minimum": )" + std::to_string(min) + R"(, "maximum": )" + std::to_string(max);
}

template <class Names>
std::string one_of(const Names& names) {
  std::string text;
  for (const std::string_view name : names) text += (text.empty() ? "" : ", ") + toml_string(name);
  return R"("enum": [)" + text + "]";
}

std::string text_type(TextRule rule) {
  const std::string text = R"("type": "string")";
  switch (rule) {
    case TextRule::name:
      return text + R"(, "pattern": "^[A-Za-z0-9_-]+$")";
    case TextRule::mount:
      return text + R"(, "pattern": "^(/[^/?#%\\s]+)*$")";
    case TextRule::module:
      return text + R"(, "pattern": "^[^:\\s]+:[^:\\s]+$")";
    case TextRule::folder:
    case TextRule::error_log:
      return text + R"(, "minLength": 1)";
    case TextRule::log_format:
      return R"("anyOf": [{)" + one_of(log_format_names) + R"(}, {"type": "string", "pattern": "%"}])";
    case TextRule::user_header:
      return text + R"(, "pattern": "^[!#$%&'*+.^`|~0-9A-Za-z-]{0,64}$")";
    case TextRule::venv:
    case TextRule::socket_path:
    case TextRule::access_log:
      return text;
    case TextRule::account:
      return text + R"(, "pattern": "^[^:/\\s]*$")";
  }
  return text;
}

// The members of the object that describes a value.
struct TypeWriter {
  std::string operator()(const Text& kind) const { return text_type(kind.rule); }
  std::string operator()(const Number& kind) const { return range(kind.min, kind.max); }
  std::string operator()(const Integer& kind) const {
    return R"("type": "integer", "minimum": )" + std::to_string(kind.min) + R"(, "maximum": )" +
           std::to_string(kind.max);
  }
  std::string operator()(const Limit& kind) const {
    const std::string quantity_text = kind.is_size ? quantity(size_pattern, false) : range(kind.min, kind.max);
    const std::string zero = kind.is_size && kind.min == 0 ? R"({"const": 0}, )" : "";
    return R"("anyOf": [{)" + quantity_text + "}, " + zero + R"({"enum": ["inherit", "unlimited"]}])";
  }
  std::string operator()(const Mask&) const { return R"("type": "string", "pattern": "^(0?0[0-7][0-7])?$")"; }
  std::string operator()(const Switch&) const { return R"("type": "boolean")"; }
  std::string operator()(const WorkerCount& kind) const {
    const std::string count = "{" + range(1, kind.max) + "}";
    return R"("anyOf": [)" + count + R"(, {"const": "auto"}, {"type": "object", "additionalProperties": false, )" +
           R"("required": ["min", "max"], "properties": {"min": )" + count + R"(, "max": )" + count + "}}]";
  }
  std::string operator()(const Time& kind) const { return quantity(duration_pattern, kind.zero_is_none); }
  std::string operator()(const Size& kind) const { return quantity(size_pattern, kind.zero_is_none); }
  std::string operator()(const Budget&) const {
    return R"("anyOf": [{)" + quantity(size_pattern, false) + R"(}, {"const": "auto"}])";
  }
  std::string operator()(const Level&) const { return one_of(log_level_names); }
  std::string operator()(const Start&) const { return one_of(start_mode_names); }
  std::string operator()(const Targets&) const {
    return R"("type": "array", "items": {"type": "string", "pattern": "^/"})";
  }
  std::string operator()(const Listeners&) const {
    return R"("type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^unix:.|^systemd(:[^:]+)?$|:[0-9]+$"})";
  }
  std::string operator()(const Networks&) const {
    return R"("type": "array", "items": {"type": "string", "pattern": "^unix$|^[0-9A-Fa-f.:]+(/[0-9]+)?$"})";
  }
  std::string operator()(const ForwardedFields&) const {
    return R"("type": "array", "items": {)" + one_of(forwarded_field_names) + "}";
  }
  std::string operator()(const Environment&) const {
    return R"("type": "object", "additionalProperties": {"type": "string"})";
  }
  std::string operator()(const StaticRoots&) const {
    std::string properties, required;
    for (const StaticColumn& column : static_columns) {
      const std::string comma = properties.empty() ? "" : ", ";
      const bool is_switch = std::holds_alternative<bool StaticSettings::*>(column.in);
      properties += comma + toml_string(column.name) + R"(: {"description": )" + toml_string(column.help) +
                    (is_switch ? R"(, "type": "boolean", "default": )" + std::string(column.example) + "}"
                               : R"(, "type": "string", "examples": [)" + std::string(column.example) + "]}");
      if (!is_switch) required += comma + toml_string(column.name);
    }
    return R"("type": "array", "items": {"type": "object", "additionalProperties": false, "required": [)" + required +
           R"(], "properties": {)" + properties + "}}";
  }
};

std::string key_object(const Key& key) {
  std::string text = R"({"description": )" + toml_string(key.help) + ", " + std::visit(TypeWriter{}, key.kind);
  if (!key.default_text.empty()) text += R"(, "default": )" + std::string(key.default_text);
  if (!key.example.empty()) text += R"(, "examples": [)" + std::string(key.example) + "]";
  return text + "}";
}

// The members of the object of a table: its keys, and the tables below it.
std::string table_members(const Table& table, const std::string& indent) {
  const std::string inner = indent + "    ";
  std::string properties;
  const auto add = [&](std::string_view name, const std::string& object) {
    properties += (properties.empty() ? "\n" : ",\n") + inner + toml_string(name) + ": " + object;
  };
  for (const Key& key : keys())
    if (key.table() == table.path) add(key.name(), key_object(key));
  for (const Table& below : tables())
    if (is_table(below.path) && !below.path.empty() && table_part(below.path) == table.path)
      add(name_part(below.path), "{\n" + table_members(below, inner + "  ") + inner + "}");
  return indent + R"("description": )" + toml_string(table.help) + ",\n" + indent + R"("type": "object",)" + "\n" +
         indent + R"("additionalProperties": false,)" + "\n" + indent + R"("properties": {)" + properties + "\n" +
         indent + "}\n";
}

}  // namespace

std::string json_schema() {
  return "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Stint\",\n" +
         table_members(tables().front(), "  ") + "}\n";
}

}  // namespace stint::config
