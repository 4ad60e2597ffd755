#include "server/supervisor/oom_kills.h"

#include <unistd.h>

#include <charconv>
#include <chrono>
#include <fstream>
#include <iterator>
#include <utility>

namespace stint::supervisor {

namespace {

std::string text_in(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

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

std::optional<std::uint64_t> parse_oom_kills(std::string_view text) {
  const auto digits = line_behind(text, "oom_kill ");
  if (!digits) return std::nullopt;
  std::uint64_t count = 0;
  const auto [end, code] = std::from_chars(digits->data(), digits->data() + digits->size(), count);
  if (code != std::errc()) return std::nullopt;
  return count;
}

std::string parse_own_cgroup(std::string_view text) { return std::string(line_behind(text, "0::").value_or("")); }

std::string OomKills::own_file() {
  // In a container the path may be the host's, whose root is this mount's parent; then the mount itself is our cgroup.
  for (const std::string& cgroup : {parse_own_cgroup(text_in("/proc/self/cgroup")), std::string()}) {
    const std::string file = "/sys/fs/cgroup" + cgroup + "/memory.events";
    if (::access(file.c_str(), R_OK) == 0) return file;
  }
  return "/proc/vmstat";
}

OomKills::OomKills(std::string file) : file_(std::move(file)), known_(count()) {}

std::optional<std::uint64_t> OomKills::count() const { return parse_oom_kills(text_in(file_)); }

bool OomKills::explain_a_death(TimePoint now) {
  const auto counted = count();
  if (!counted || !known_) return false;
  if (now - seen_at_ > std::chrono::seconds(1)) unexplained_ = 0;
  if (*counted > *known_) {
    unexplained_ += *counted - *known_;
    seen_at_ = now;
  }
  known_ = counted;
  if (unexplained_ == 0) return false;
  --unexplained_;
  return true;
}

}  // namespace stint::supervisor
