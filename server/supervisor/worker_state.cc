#include "server/supervisor/worker_state.h"

namespace stint::supervisor {

std::optional<WorkerState> next(WorkerState state, WorkerEvent event) {
  if (state == WorkerState::dead) return std::nullopt;
  if (event == WorkerEvent::exited) return WorkerState::dead;
  switch (state) {
    case WorkerState::booting:
      if (event == WorkerEvent::imported) return WorkerState::warming;
      if (event == WorkerEvent::warmed_up) return WorkerState::ready;
      return WorkerState::retiring;
    case WorkerState::warming:
      if (event == WorkerEvent::warmed_up) return WorkerState::ready;
      if (event == WorkerEvent::told_to_retire) return WorkerState::retiring;
      return std::nullopt;
    case WorkerState::ready:
      if (event == WorkerEvent::told_to_retire) return WorkerState::retiring;
      return std::nullopt;
    case WorkerState::retiring:
      // What it said before it read our message; it goes all the same.
      if (event == WorkerEvent::imported || event == WorkerEvent::warmed_up) return WorkerState::retiring;
      return std::nullopt;
    case WorkerState::dead:
      return std::nullopt;
  }
  return std::nullopt;
}

std::string_view text_of(WorkerState state) {
  switch (state) {
    case WorkerState::booting:
      return "booting";
    case WorkerState::warming:
      return "warming";
    case WorkerState::ready:
      return "ready";
    case WorkerState::retiring:
      return "retiring";
    case WorkerState::dead:
      return "dead";
  }
  return "";
}

}  // namespace stint::supervisor
