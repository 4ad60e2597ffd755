// What the whole server is at, as the operator and the service manager see it.
//
//   starting ──all workers ready──> serving ──TERM, INT, `stint stop`──> draining ──stop.drain_delay, TERM──> stopping
//
// Without a drain_delay, and from `starting`, the way leads to stopping at once; so does a failed start. The pool goes
// on replacing workers in all but `stopping`.
#pragma once

#include <string_view>

namespace stint::supervisor {

enum class ServerState { starting, serving, draining, stopping };

constexpr std::string_view text_of(ServerState state) {
  switch (state) {
    case ServerState::starting:
      return "starting";
    case ServerState::serving:
      return "serving";
    case ServerState::draining:
      return "draining";
    case ServerState::stopping:
      return "stopping";
  }
  return "";
}

// Told to stop, one way or the other.
constexpr bool is_leaving(ServerState state) {
  return state == ServerState::draining || state == ServerState::stopping;
}

}  // namespace stint::supervisor
