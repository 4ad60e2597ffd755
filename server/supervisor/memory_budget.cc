#include "server/supervisor/memory_budget.h"

#include "server/supervisor/kernel_text.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

namespace stint::supervisor {

namespace {

Bytes difference(Bytes more, Bytes less) { return {more.count - std::min(more.count, less.count)}; }

std::optional<Bytes> smaller(std::optional<Bytes> one, std::optional<Bytes> other) {
  if (!one || !other) return one ? one : other;
  return Bytes{std::min(one->count, other->count)};
}

}  // namespace

unsigned workers_that_fit(const MemoryView& view) {
  std::optional<Bytes> room = view.available;
  if (view.budget.count != 0) room = smaller(room, difference(view.budget, view.used));
  constexpr std::uint64_t most = std::numeric_limits<unsigned>::max();
  if (!room || view.per_worker.count == 0) return most;
  return static_cast<unsigned>(std::min(room->count / view.per_worker.count, most));
}

bool is_over_budget(const MemoryView& view) {
  if (view.budget.count != 0) return view.used > view.budget;
  return view.available && view.available->count < view.per_worker.count / 4;
}

std::optional<Bytes> group_has_left(std::string_view max, std::string_view current, std::string_view stat) {
  const auto limit = number_behind(max, "");  // or "max"
  const auto used = number_behind(current, "");
  if (!limit || !used) return std::nullopt;
  const Bytes droppable{number_behind(stat, "inactive_file ").value_or(0) +
                        number_behind(stat, "active_file ").value_or(0)};
  return difference({*limit}, difference({*used}, droppable));
}

std::optional<Bytes> available_memory() {
  std::optional<Bytes> available;
  if (const auto kibibytes = number_behind(text_in("/proc/meminfo"), "MemAvailable:"))
    available = Bytes{*kibibytes * 1024};
  const auto file = own_cgroup_file("memory.current");
  if (!file) return available;
  std::string folder = file->substr(0, file->rfind('/'));
  for (; folder.size() > std::string_view("/sys/fs/cgroup").size() - 1; folder.resize(folder.rfind('/')))
    available = smaller(available, group_has_left(text_in(folder + "/memory.max"), text_in(folder + "/memory.current"),
                                                  text_in(folder + "/memory.stat")));
  return available;
}

}  // namespace stint::supervisor
