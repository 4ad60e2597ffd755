#include "server/worker/private_memory.h"

#include <fcntl.h>
#include <malloc.h>

#include <array>
#include <charconv>
#include <string_view>

namespace stint::worker {

Result<std::unique_ptr<PrivateMemory>> PrivateMemory::make(control::StatusPage& page, Bytes limit, StartMode start) {
  const bool is_forked = start == StartMode::fork;
  const std::string place = is_forked ? "/proc/self/smaps_rollup" : "/proc/self/status";
  UniqueFd file(::open(place.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return system_error("open " + place);
  return std::unique_ptr<PrivateMemory>(new PrivateMemory(page, limit, is_forked, std::move(file)));
}

std::optional<Bytes> PrivateMemory::read() const {
  std::array<char, 4096> text;
  const ssize_t length = ::pread(file_.get(), text.data(), text.size(), 0);
  if (length <= 0) return std::nullopt;
  const std::string_view status(text.data(), static_cast<std::size_t>(length));
  const std::string_view label = is_forked_ ? "Private_Dirty:" : "RssAnon:";
  std::size_t at = status.find(label);
  if (at == std::string_view::npos) return std::nullopt;
  at = status.find_first_not_of(" \t", at + label.size());
  if (at == std::string_view::npos) return std::nullopt;
  std::uint64_t kibibytes = 0;
  std::from_chars(status.data() + at, status.data() + status.size(), kibibytes);
  return Bytes{kibibytes << 10};
}

void PrivateMemory::look(TimePoint now) {
  if (now - looked_ < std::chrono::milliseconds(is_forked_ ? 1000 : 100)) return;
  looked_ = now;
  std::optional<Bytes> held = read();
  // At most once in ten seconds: giving back and taking again costs more than a look.
  if (held && limit_.count > 0 && *held > limit_ && now - trimmed_ > std::chrono::seconds(10)) {
    trimmed_ = now;
    ::malloc_trim(0);
    held = read();
  }
  if (held) page_.set_private_memory(*held);
}

}  // namespace stint::worker
