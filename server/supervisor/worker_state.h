// The life of a worker as the supervisor sees it. Pure.
//
//   booting ──imported──> warming ──warmed_up──> ready ──told_to_retire──> retiring ──exited──> dead
//      │                                           ^
//      └──warmed_up (no warm-up requests)──────────┘
//
//   `exited` leads to dead from anywhere, `told_to_retire` to retiring from any living state: a server that stops does
//   not wait for its starts. Only `ready` takes new connections. A retiring worker still holds its memory.
#pragma once

#include <optional>
#include <string_view>

namespace stint::supervisor {

enum class WorkerState { booting, warming, ready, retiring, dead };
enum class WorkerEvent { imported, warmed_up, told_to_retire, exited };

// nullopt: this cannot happen in this state; the sender has a bug.
std::optional<WorkerState> next(WorkerState state, WorkerEvent event);

std::string_view text_of(WorkerState state);  // as `stint status` shows it

}  // namespace stint::supervisor
