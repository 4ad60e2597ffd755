#include "server/supervisor/kernel_text.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>

namespace stint::supervisor {

namespace {

// What stands behind `beginning` in the line that begins with it.
std::optional<std::string_view> line_behind(std::string_view text, std::string_view beginning) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (line.starts_with(beginning)) return line.substr(beginning.size());
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return std::nullopt;
}

}  // namespace

std::string text_in(const std::string& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::optional<std::uint64_t> number_behind(std::string_view text, std::string_view beginning) {
  auto digits = line_behind(text, beginning);
  if (!digits) return std::nullopt;
  digits->remove_prefix(std::min(digits->find_first_not_of(" \t"), digits->size()));
  std::uint64_t number = 0;
  const auto [end, code] = std::from_chars(digits->data(), digits->data() + digits->size(), number);
  if (code != std::errc()) return std::nullopt;
  return number;
}

std::string parse_own_cgroup(std::string_view text) { return std::string(line_behind(text, "0::").value_or("")); }

std::optional<std::string> own_cgroup_file(const std::string& name) {
  // In a container the path may be the host's, whose root is this mount's parent; then the mount itself is our group.
  for (const std::string& group : {parse_own_cgroup(text_in("/proc/self/cgroup")), std::string()}) {
    std::string file = "/sys/fs/cgroup" + group + "/" + name;
    if (::access(file.c_str(), R_OK) == 0) return file;
  }
  return std::nullopt;
}

}  // namespace stint::supervisor
