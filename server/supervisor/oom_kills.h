// Whether a SIGKILL was the kernel's OOM killer: its count of victims is compared before and after. Of our own cgroup
// (v2, where the workers are too), or, where that cannot be read, of the machine.
#pragma once

#include "stint/worker_report.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stint::supervisor {

class OomKills {
 public:
  // `file` holds a line "oom_kill COUNT".
  explicit OomKills(std::string file = own_file());

  // Ask once for each worker that was killed by somebody else. One victim explains one death, and only one that is
  // seen within a second of it: the victim may also have been a child of the application's.
  bool explain_a_death(TimePoint now);

  static std::string own_file();

 private:
  std::optional<std::uint64_t> count() const;

  const std::string file_;
  std::optional<std::uint64_t> known_;
  std::uint64_t unexplained_ = 0;  // victims that no death has been found for yet
  TimePoint seen_at_{};            // the last of them
};

// nullopt: there is no such line.
std::optional<std::uint64_t> parse_oom_kills(std::string_view text);

}  // namespace stint::supervisor
