// How much memory there is for more workers. The Pool asks at a reload; the answer is a pure function of what it sees.
#pragma once

#include "stint/bytes.h"

#include <optional>
#include <string_view>

namespace stint::supervisor {

struct MemoryView {
  Bytes budget;                    // memory.budget; 0: none given
  Bytes used;                      // private memory of all workers there are
  std::optional<Bytes> available;  // what control group and machine have left; nullopt: not known
  Bytes per_worker;                // what one more will need; 0: not known
};

// How many more workers fit. Where nothing says that they do not, all do.
unsigned workers_that_fit(const MemoryView& view);

// Whether those there are need too much: more than the budget, or, where none is given, so much that less than a
// quarter of a worker is left.
bool is_over_budget(const MemoryView& view);

// The least of: what the machine has left (MemAvailable of proc_meminfo(5)), and what our control group and those above
// it (v2) have below their memory.max, file cache that the kernel can drop included. nullopt: neither is known.
std::optional<Bytes> available_memory();

// What a group has left; nullopt: it has no limit. Texts of memory.max, memory.current and memory.stat.
std::optional<Bytes> group_has_left(std::string_view max, std::string_view current, std::string_view stat);

}  // namespace stint::supervisor
