// What a pool does next: which workers to start, to retire and to kill. A pure function of a picture of the pool and of
// the time; the Pool draws the picture, applies the steps, and asks again after every event and every tick.
#pragma once

#include "server/supervisor/worker_state.h"
#include "stint/settings.h"
#include "stint/worker_report.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace stint::supervisor {

// Names one worker among all that this supervisor ever starts (pids come again); rises with time.
enum class WorkerId : std::uint64_t {};

enum class RetireCause { recycle, scale_down, reload, stop };
enum class KillCause {
  startup_timeout,
  request_timeout,
  kill_rss,
  drain_timeout,
  lost_channel,
  scale_down,
  reload,  // its generation has been taken over, or will not be
  stop
};

struct WorkerView {
  WorkerId id{};
  WorkerState state = WorkerState::booting;
  TimePoint started{};
  bool is_coming = false;                    // of the coming generation
  bool wants_replacement = false;            // by policy, by its own wish, by the operator's
  bool can_wait = false;                     // for that
  bool is_killed = false;                    // SIGKILL is sent, its exit is awaited
  TimePoint retiring_since{};                // while retiring
  RetireCause cause = RetireCause::recycle;  // while retiring
  std::optional<TimePoint> busy_since;       // a call into the application is running
  Bytes private_memory;                      // looked at while PoolView::kill_rss is set
  std::optional<TimePoint> channel_lost_at;  // it closed its channel and has not exited
};

// A worker's place. Safety: `successor` only beside `current`, and started after it. Workers are in order of age.
struct SlotView {
  unsigned slot = 0;                    // 1…; those beyond PoolView::count only while workers of theirs live
  TimePoint not_before{};               // back-off: no start earlier
  std::optional<WorkerView> current;    // booting, warming or ready
  std::optional<WorkerView> successor;  // booting, warming or ready; takes the place when ready, or when current dies
  std::optional<WorkerView> coming;     // of the coming generation; stands by beside all others
  std::vector<WorkerView> retiring;
};

// While a reload is under way. The Pool asks Reload what becomes of it; here only its workers are started and watched.
struct ComingGenerationView {
  unsigned wanted = 0;   // slots 1… to start workers in
  unsigned at_once = 1;  // of them may be starting at a time
  Duration startup_timeout{};
  bool is_tried = false;  // by clients, as canaries, for as long as that takes
};

struct PoolView {
  unsigned count = 0;  // slots wanted
  bool is_stopping = false;
  unsigned at_once = 1;
  Duration startup_timeout{};  // 0: no limit
  Duration request_timeout{};  // 0: no limit
  Duration drain_timeout{};
  Bytes kill_rss;  // 0: no limit
  std::optional<ComingGenerationView> coming;
  std::vector<SlotView> slots;  // all of 1…count, and of 1…wanted of a coming generation, in order
};

struct Start {
  unsigned slot = 0;
  bool is_coming = false;  // of the coming generation
};
struct Retire {
  WorkerId worker{};
  RetireCause cause{};
};
struct Kill {
  WorkerId worker{};
  KillCause why{};
};
using Step = std::variant<Start, Retire, Kill>;

// Safety:   a recycle never takes a ready worker away unless another of its slot is ready: also with count = 1.
//           At most `at_once` workers are out because of recycling: replacements starting plus workers retiring.
//           A worker is told to retire once and killed once.
//           While a generation is starting what has reached a limit is not recycled: the take-over replaces all, and
//           soon. What serves clients no more is, and a slot whose worker died is refilled, since the coming generation
//           may fail. While canaries are tried, which may take for ever, everything goes on as usual.
// Progress: a slot within `count` that is empty starts a worker as soon as its back-off is over, whatever else is out.
//           Every state but ready ends by itself: start-up and drain have limits (the drain's has 10 s on top, for the
//           application's exit handlers), a killed worker exits.
std::vector<Step> next_steps(const PoolView& pool, TimePoint now);

// The first sentence about PoolView that does not hold; empty: all do. The Pool asserts it in debug builds.
std::string broken_invariant(const PoolView& pool);

std::string_view text_of(RetireCause cause);
std::string_view text_of(KillCause cause);

// How long after request_timeout a worker may still have a call that it has not answered itself.
inline constexpr Duration own_timeouts_time{5'000};

}  // namespace stint::supervisor
