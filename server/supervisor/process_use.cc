#include "server/supervisor/process_use.h"

#include "server/supervisor/kernel_text.h"
#include "stint/unique_fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>

namespace stint::supervisor {

namespace {

std::string place(pid_t pid, const char* what) { return "/proc/" + std::to_string(pid) + "/" + what; }

}  // namespace

std::optional<ProcessUse> parse_process_status(std::string_view text) {
  const auto memory = number_behind(text, "RssAnon:");  // in KiB
  const auto threads = number_behind(text, "Threads:");
  if (!memory || !threads) return std::nullopt;
  return ProcessUse{{*memory * 1024}, static_cast<unsigned>(*threads)};
}

std::optional<ProcessUse> process_use_of(pid_t pid) {
  const UniqueFd file(::open(place(pid, "status").c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return std::nullopt;
  std::array<char, 4096> text;  // the kernel makes about 1,500 bytes, in one read
  const ssize_t size = ::read(file.get(), text.data(), text.size());
  if (size <= 0) return std::nullopt;
  return parse_process_status({text.data(), static_cast<std::size_t>(size)});
}

std::optional<Bytes> own_memory_of(pid_t pid) {
  const auto kibibytes = number_behind(text_in(place(pid, "smaps_rollup")), "Private_Dirty:");
  return kibibytes ? std::optional(Bytes{*kibibytes * 1024}) : std::nullopt;
}

std::optional<unsigned> open_descriptors_of(pid_t pid) {
  const std::string folder = place(pid, "fd");
  struct stat status{};
  if (::stat(folder.c_str(), &status) != 0) return std::nullopt;
  if (status.st_size > 0) return static_cast<unsigned>(status.st_size);  // since Linux 6.2
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(folder.c_str()), ::closedir);
  if (!entries) return std::nullopt;
  unsigned count = 0;
  while (const dirent* entry = ::readdir(entries.get())) count += entry->d_name[0] == '.' ? 0 : 1;
  return count;
}

}  // namespace stint::supervisor
