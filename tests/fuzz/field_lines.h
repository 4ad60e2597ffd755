// Fields out of an input: lines "Name: value", each value as the request parser would hand it on.
#pragma once

#include "stint/request.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stint::fuzz {

using FieldLines = std::vector<std::pair<std::string, std::string>>;

// Without control bytes and without blanks around.
inline std::string field_value(std::string_view text) {
  std::string value(text);
  for (char& c : value)
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == '\x7f') c = '?';
  const std::size_t first = value.find_first_not_of(" \t");
  if (first == value.npos) return {};
  return value.substr(first, value.find_last_not_of(" \t") - first + 1);
}

// What has no colon is passed over.
inline FieldLines field_lines(std::string_view input) {
  FieldLines lines;
  while (!input.empty()) {
    const std::size_t end = std::min(input.find('\n'), input.size());
    const std::string_view line = input.substr(0, end);
    input.remove_prefix(std::min(end + 1, input.size()));
    const std::size_t colon = line.find(':');
    if (colon != line.npos) lines.emplace_back(line.substr(0, colon), field_value(line.substr(colon + 1)));
  }
  return lines;
}

// Views of `lines`.
inline std::vector<HeaderField> fields_of(const FieldLines& lines) {
  std::vector<HeaderField> fields;
  for (const auto& [name, value] : lines) fields.push_back({name, value});
  return fields;
}

// `lower` is in lower case.
inline bool is_name(std::string_view name, std::string_view lower) {
  return std::equal(name.begin(), name.end(), lower.begin(), lower.end(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; });
}

inline std::size_t count_named(const FieldLines& lines, std::string_view lower) {
  return static_cast<std::size_t>(
      std::count_if(lines.begin(), lines.end(), [lower](const auto& line) { return is_name(line.first, lower); }));
}

}  // namespace stint::fuzz
