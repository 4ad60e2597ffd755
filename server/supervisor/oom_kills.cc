#include "server/supervisor/oom_kills.h"

#include "server/supervisor/kernel_text.h"

#include <chrono>
#include <utility>

namespace stint::supervisor {

std::optional<std::uint64_t> parse_oom_kills(std::string_view text) { return number_behind(text, "oom_kill "); }

std::string OomKills::own_file() { return own_cgroup_file("memory.events").value_or("/proc/vmstat"); }

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
