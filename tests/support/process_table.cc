#include "tests/support/process_table.h"

#include "tests/support/temporary_folder.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <ios>
#include <optional>

namespace stint::test {
namespace {

// Empty: no such process.
std::string proc_file(pid_t pid, std::string_view name) {
  try {
    return read_file("/proc/" + std::to_string(pid) + "/" + std::string(name));
  } catch (const std::ios_base::failure&) {  // gone between open(2) and read(2): ESRCH
    return {};
  }
}

struct Stat {
  char state = '?';
  pid_t parent = 0;
  pid_t session = 0;
};

// proc_pid_stat(5): the name in parentheses may hold anything, so fields are counted from the last one.
std::optional<Stat> stat_of(pid_t pid) {
  const std::string text = proc_file(pid, "stat");
  const std::size_t name_end = text.rfind(')');
  Stat stat;
  pid_t group = 0;
  if (name_end == std::string::npos ||
      std::sscanf(text.c_str() + name_end + 1, " %c %d %d %d", &stat.state, &stat.parent, &group, &stat.session) != 4) {
    return std::nullopt;
  }
  return stat;
}

template <class Condition>
std::vector<pid_t> processes_where(Condition&& condition) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error == std::errc{} && end == name.data() + name.size() && condition(pid)) found.push_back(pid);
  }
  return found;
}

// "Row:   123 kB" in a file of such rows.
std::uint64_t kib_in(const std::string& file, std::string_view row) {
  const std::string text = '\n' + file;
  const std::size_t at = text.find('\n' + std::string(row) + ':');
  if (at == std::string::npos) return 0;
  const char* const digits = text.data() + text.find_first_of("0123456789", at + row.size() + 2);
  std::uint64_t kib = 0;
  std::from_chars(digits, text.data() + text.size(), kib);
  return kib;
}

}  // namespace

bool is_running(pid_t pid) {
  const auto stat = stat_of(pid);
  return stat && stat->state != 'Z' && stat->state != 'X';
}

std::vector<pid_t> children_of(pid_t parent) {
  return processes_where([parent](pid_t pid) {
    const auto stat = stat_of(pid);
    return stat && stat->parent == parent && stat->state != 'Z' && stat->state != 'X';
  });
}

std::size_t zombies_of(pid_t parent) {
  return processes_where([parent](pid_t pid) {
           const auto stat = stat_of(pid);
           return stat && stat->parent == parent && stat->state == 'Z';
         })
      .size();
}

std::vector<pid_t> processes_of_session(pid_t leader) {
  return processes_where([leader](pid_t pid) {
    const auto stat = stat_of(pid);
    return stat && stat->session == leader && stat->state != 'Z' && stat->state != 'X';
  });
}

std::uint64_t memory_kib(pid_t pid, std::string_view row) { return kib_in(proc_file(pid, "status"), row); }

std::uint64_t own_memory_kib(pid_t pid) {
  const std::string rows = proc_file(pid, "smaps_rollup");
  return kib_in(rows, "Private_Clean") + kib_in(rows, "Private_Dirty");
}

std::size_t descriptors_of(pid_t pid) {
  std::error_code gone;
  const auto folder = std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd", gone);
  return gone ? 0 : static_cast<std::size_t>(std::distance(begin(folder), end(folder)));
}

std::string maps_of(pid_t pid) { return proc_file(pid, "maps"); }

std::string command_line_of(pid_t pid) {
  std::string text = proc_file(pid, "cmdline");
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

}  // namespace stint::test
