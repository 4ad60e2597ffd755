// Numbers that the kernel tells as text: files of /proc and of our control group.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stint::supervisor {

std::string text_in(const std::string& file);  // empty: cannot be read

// The number behind `beginning` in the line that begins with it: ("oom_kill 3\n", "oom_kill ") → 3. Blanks in front of
// it do not count.
std::optional<std::uint64_t> number_behind(std::string_view text, std::string_view beginning);

// The path of the v2 control group in /proc/self/cgroup; empty: none.
std::string parse_own_cgroup(std::string_view text);

// A file of our control group, if it is there and can be read.
std::optional<std::string> own_cgroup_file(const std::string& name);

}  // namespace stint::supervisor
