#include "server/supervisor/rollout.h"

#include "tests/support/catch.h"

#include <algorithm>
#include <map>
#include <random>

using namespace stint;
using namespace stint::supervisor;
using namespace std::chrono_literals;

namespace {

const TimePoint now = TimePoint(1000s);

std::string text_of(const Step& step) {
  if (const auto* start = std::get_if<Start>(&step))
    return (start->is_coming ? "start coming slot " : "start slot ") + std::to_string(start->slot);
  if (const auto* retire = std::get_if<Retire>(&step))
    return "retire " + std::to_string(static_cast<std::uint64_t>(retire->worker)) + " " +
           std::string(supervisor::text_of(retire->cause));
  const auto& kill = std::get<Kill>(step);
  return "kill " + std::to_string(static_cast<std::uint64_t>(kill.worker)) + " " +
         std::string(supervisor::text_of(kill.why));
}

std::vector<std::string> steps_of(const PoolView& pool) {
  INFO("the picture is one that can be: " << broken_invariant(pool));
  REQUIRE(broken_invariant(pool).empty());
  std::vector<std::string> texts;
  for (const Step& step : next_steps(pool, now)) texts.push_back(text_of(step));
  return texts;
}

using Steps = std::vector<std::string>;

WorkerView worker(unsigned id, WorkerState state) {
  return {.id = WorkerId{id}, .state = state, .started = now - 100s + std::chrono::seconds(id)};
}
WorkerView ready(unsigned id) { return worker(id, WorkerState::ready); }
WorkerView unwanted(unsigned id) {
  auto view = ready(id);
  view.wants_replacement = true;
  return view;
}
WorkerView retiring(unsigned id, RetireCause cause = RetireCause::recycle) {
  auto view = worker(id, WorkerState::retiring);
  view.retiring_since = now - 1s;
  view.cause = cause;
  return view;
}

// Slots 1… of a pool with drain_timeout 30 s and no other limits.
PoolView pool_of(std::vector<SlotView> slots, unsigned at_once = 1) {
  PoolView pool{.count = static_cast<unsigned>(slots.size()), .at_once = at_once, .drain_timeout = 30s};
  for (unsigned i = 0; i < slots.size(); ++i) slots[i].slot = i + 1;
  pool.slots = std::move(slots);
  return pool;
}

}  // namespace

TEST_CASE("at first all slots start at once", "[supervisor]") {
  CHECK(steps_of(pool_of({{}, {}, {}})) == Steps{"start slot 1", "start slot 2", "start slot 3"});
}

TEST_CASE("a pool in which all are ready and wanted is left alone", "[supervisor]") {
  CHECK(steps_of(pool_of({{.current = ready(1)}, {.current = ready(2)}})).empty());
}

TEST_CASE("a worker at its limit gets a replacement and goes on serving", "[supervisor]") {
  CHECK(steps_of(pool_of({{.current = unwanted(1)}})) == Steps{"start slot 1"});
  for (const auto state : {WorkerState::booting, WorkerState::warming})
    CHECK(steps_of(pool_of({{.current = unwanted(1), .successor = worker(2, state)}})).empty());
}

TEST_CASE("a worker at its limit retires only when its replacement is ready", "[supervisor]") {
  CHECK(steps_of(pool_of({{.current = unwanted(1), .successor = ready(2)}})) == Steps{"retire 1 recycle"});
}

TEST_CASE("no more than at_once are out because of recycling", "[supervisor]") {
  const SlotView starting{.current = unwanted(1), .successor = worker(9, WorkerState::booting)};
  const SlotView leaving{.current = ready(8), .retiring = {retiring(2)}};
  const SlotView waiting{.current = unwanted(3)};
  CHECK(steps_of(pool_of({starting, waiting}, 1)).empty());
  CHECK(steps_of(pool_of({leaving, waiting}, 1)).empty());
  CHECK(steps_of(pool_of({starting, leaving, waiting}, 2)).empty());
  CHECK(steps_of(pool_of({starting, leaving, waiting}, 3)) == Steps{"start slot 3"});
  // The hand-over in these very steps counts: its old worker is out from now on.
  CHECK(steps_of(pool_of({{.current = unwanted(1), .successor = ready(9)}, waiting}, 1)) == Steps{"retire 1 recycle"});
}

TEST_CASE("the worker that has served longest is replaced first", "[supervisor]") {
  CHECK(steps_of(pool_of({{.current = unwanted(5)}, {.current = unwanted(2)}, {.current = unwanted(7)}}, 2)) ==
        Steps{"start slot 2", "start slot 1"});
}

TEST_CASE("a slot whose worker died is refilled whatever else is out, after its back-off", "[supervisor]") {
  const SlotView starting{.current = unwanted(1), .successor = worker(9, WorkerState::booting)};
  CHECK(steps_of(pool_of({starting, {}}, 1)) == Steps{"start slot 2"});
  CHECK(steps_of(pool_of({starting, {.not_before = now + 1ms}}, 1)).empty());
  CHECK(steps_of(pool_of({starting, {.not_before = now}}, 1)) == Steps{"start slot 2"});
}

TEST_CASE("a replacement that failed to start is tried again after the slot's back-off", "[supervisor]") {
  CHECK(steps_of(pool_of({{.not_before = now + 1s, .current = unwanted(1)}})).empty());
  // Meanwhile another slot has its turn.
  CHECK(steps_of(pool_of({{.not_before = now + 1s, .current = unwanted(1)}, {.current = unwanted(2)}})) ==
        Steps{"start slot 2"});
}

TEST_CASE("a worker that is not ready yet is not replaced before it is", "[supervisor]") {
  auto booting = worker(1, WorkerState::booting);
  booting.wants_replacement = true;
  CHECK(steps_of(pool_of({{.current = booting}})).empty());
}

TEST_CASE("one slot less retires its workers, and those still importing are killed", "[supervisor]") {
  auto pool = pool_of({{.current = ready(1)}, {.current = ready(2), .successor = worker(3, WorkerState::booting)}});
  pool.count = 1;
  CHECK(steps_of(pool) == Steps{"retire 2 scale_down", "kill 3 scale_down"});
}

TEST_CASE("leaving because of fewer slots does not hold up recycling", "[supervisor]") {
  auto pool = pool_of({{.current = unwanted(1)}, {.retiring = {retiring(2, RetireCause::scale_down)}}});
  pool.count = 1;
  CHECK(steps_of(pool) == Steps{"start slot 1"});
}

TEST_CASE("a stop retires all, kills those still importing, and starts nothing", "[supervisor]") {
  auto pool = pool_of({{.current = unwanted(1), .successor = worker(5, WorkerState::warming)},
                       {.current = worker(2, WorkerState::booting)},
                       {},
                       {.retiring = {retiring(4)}}});
  pool.is_stopping = true;
  CHECK(steps_of(pool) == Steps{"retire 1 stop", "retire 5 stop", "kill 2 stop"});
}

TEST_CASE("a start has a limit", "[supervisor]") {
  for (const auto state : {WorkerState::booting, WorkerState::warming}) {
    auto pool = pool_of({{.current = worker(1, state)}});
    pool.slots[0].current->started = now - 60s;
    CHECK(steps_of(pool).empty());
    pool.startup_timeout = 60s;
    CHECK(steps_of(pool).empty());
    pool.startup_timeout = 60s - 1ms;
    CHECK(steps_of(pool) == Steps{"kill 1 startup_timeout"});
    pool.slots[0].current->is_killed = true;
    CHECK(steps_of(pool).empty());
  }
}

TEST_CASE("a drain has a limit, and 10 s on top for the application's exit handlers", "[supervisor]") {
  auto pool = pool_of({{.current = ready(2), .retiring = {retiring(1)}}});
  pool.slots[0].retiring[0].retiring_since = now - 40s;
  CHECK(steps_of(pool).empty());
  pool.slots[0].retiring[0].retiring_since = now - 40s - 1ms;
  CHECK(steps_of(pool) == Steps{"kill 1 drain_timeout"});
}

TEST_CASE("a call into the application has a limit, also in a worker that retires", "[supervisor]") {
  auto pool = pool_of({{.current = ready(2), .retiring = {retiring(1)}}});
  pool.slots[0].current->busy_since = pool.slots[0].retiring[0].busy_since = now - 15s;
  CHECK(steps_of(pool).empty());  // 0: no limit
  pool.request_timeout = 10s;
  CHECK(steps_of(pool).empty());  // the worker has 5 s to answer it itself
  pool.request_timeout = 10s - 1ms;
  CHECK(steps_of(pool) == Steps{"kill 2 request_timeout", "kill 1 request_timeout"});
}

TEST_CASE("a worker over kill_rss is killed, also one that retires, but not one that starts", "[supervisor]") {
  auto pool = pool_of({{.current = ready(2), .retiring = {retiring(1)}}, {.current = worker(3, WorkerState::warming)}});
  for (WorkerView* view : {&*pool.slots[0].current, &pool.slots[0].retiring[0], &*pool.slots[1].current})
    view->private_memory = {(1_GiB).count + 1};
  CHECK(steps_of(pool).empty());  // 0: no limit
  pool.kill_rss = {(1_GiB).count + 1};
  CHECK(steps_of(pool).empty());
  pool.kill_rss = 1_GiB;
  CHECK(steps_of(pool) == Steps{"kill 2 kill_rss", "kill 1 kill_rss"});
}

TEST_CASE("a warm-up request counts against the start's limit only", "[supervisor]") {
  auto pool = pool_of({{.current = worker(1, WorkerState::warming)}});
  pool.request_timeout = 1s;
  pool.slots[0].current->busy_since = now - 10s;
  CHECK(steps_of(pool).empty());
}

TEST_CASE("a worker that can no longer be told anything is killed after 10 s", "[supervisor]") {
  auto pool = pool_of({{.current = ready(1)}});
  pool.slots[0].current->channel_lost_at = now - 10s;
  CHECK(steps_of(pool).empty());
  pool.slots[0].current->channel_lost_at = now - 10s - 1ms;
  CHECK(steps_of(pool) == Steps{"kill 1 lost_channel"});
}

TEST_CASE("while either of two workers is being killed nothing is handed over", "[supervisor]") {
  auto old = unwanted(1);
  auto fresh = ready(2);
  fresh.is_killed = true;
  CHECK(steps_of(pool_of({{.current = old, .successor = fresh}})).empty());
  old.is_killed = true;
  CHECK(steps_of(pool_of({{.current = old, .successor = ready(2)}})).empty());
}

// A pool of pretended workers: whatever happens, in any order, what rollout.h promises holds.
TEST_CASE("recycling never takes the last ready worker of a slot, and the pool always comes back", "[supervisor]") {
  struct Pretended {
    unsigned slot;
    WorkerView view;
  };
  for (unsigned seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto chance = [&](unsigned percent) { return random() % 100 < percent; };
    std::map<WorkerId, Pretended> workers;
    unsigned next_id = 1;
    const unsigned at_once = 1 + seed % 3;
    unsigned count = 1 + seed % 5;
    std::map<unsigned, TimePoint> not_before;
    TimePoint time(1000s);

    const auto draw = [&] {
      PoolView pool{.count = count, .at_once = at_once, .startup_timeout = 5s, .drain_timeout = 1s};
      for (unsigned slot = 1; slot <= 7; ++slot) {
        SlotView view{.slot = slot, .not_before = not_before[slot]};
        for (const auto& [id, pretended] : workers) {
          if (pretended.slot != slot) continue;
          if (pretended.view.state == WorkerState::retiring)
            view.retiring.push_back(pretended.view);
          else
            (view.current ? view.successor : view.current) = pretended.view;
        }
        pool.slots.push_back(view);
      }
      return pool;
    };

    for (int turn = 0; turn < 600; ++turn) {
      const bool is_wild = turn < 400;  // afterwards nothing bad happens any more
      time += 100ms;
      const PoolView before = draw();
      REQUIRE(broken_invariant(before).empty());
      for (const Step& step : next_steps(before, time)) {
        if (const auto* start = std::get_if<Start>(&step)) {
          REQUIRE(start->slot <= count);
          const SlotView& slot = before.slots[start->slot - 1];
          REQUIRE_FALSE(slot.successor.has_value());
          const WorkerId id{next_id++};
          workers[id] = {start->slot, {.id = id, .state = WorkerState::booting, .started = time}};
        } else if (const auto* retire = std::get_if<Retire>(&step)) {
          auto& view = workers.at(retire->worker).view;
          REQUIRE(view.state != WorkerState::retiring);
          if (retire->cause == RetireCause::recycle) {
            const auto& successor = before.slots[workers.at(retire->worker).slot - 1].successor;
            REQUIRE((successor && successor->state == WorkerState::ready));
          }
          view.state = WorkerState::retiring;
          view.retiring_since = time;
          view.cause = retire->cause;
        } else {
          auto& view = workers.at(std::get<Kill>(step).worker).view;
          REQUIRE_FALSE(view.is_killed);
          view.is_killed = true;
        }
      }
      unsigned out = 0;
      for (const SlotView& slot : draw().slots) {
        if (slot.successor && slot.successor->state != WorkerState::ready) ++out;
        for (const auto& view : slot.retiring) out += view.cause == RetireCause::recycle ? 1 : 0;
      }
      // A worker that takes over because its predecessor died was counted when it started; it is out no more.
      REQUIRE(out <= at_once);

      for (auto entry = workers.begin(); entry != workers.end();) {
        WorkerView& view = entry->second.view;
        bool is_gone = view.is_killed || (view.state == WorkerState::retiring && chance(20));
        if (is_wild && chance(2)) is_gone = true;
        if (is_gone) {
          if (view.state != WorkerState::retiring) not_before[entry->second.slot] = time + 300ms;
          entry = workers.erase(entry);
          continue;
        }
        if (view.state == WorkerState::booting && chance(is_wild ? 20 : 60))
          view.state = WorkerState::warming;
        else if (view.state == WorkerState::warming && chance(is_wild ? 20 : 60))
          view.state = WorkerState::ready;
        else if (view.state == WorkerState::ready && is_wild && chance(10))
          view.wants_replacement = true;
        ++entry;
      }
      if (is_wild && chance(3)) count = 1 + random() % 7;
    }

    const PoolView end = draw();
    for (const SlotView& slot : end.slots) {
      CHECK(slot.retiring.empty());
      CHECK_FALSE(slot.successor.has_value());
      CHECK(slot.current.has_value() == (slot.slot <= count));
      if (slot.current) CHECK(slot.current->state == WorkerState::ready);
      if (slot.current) CHECK_FALSE(slot.current->wants_replacement);
    }
  }
}

TEST_CASE("a coming generation starts beside the one that serves, whose limits can wait meanwhile", "[supervisor]") {
  auto coming = [](unsigned id, WorkerState state) {
    auto view = worker(id, state);
    view.is_coming = true;
    return view;
  };
  PoolView pool = pool_of({{.current = unwanted(1)}, {.current = ready(2)}});
  pool.slots[0].current->can_wait = true;
  pool.coming = ComingGenerationView{.wanted = 2, .at_once = 8, .startup_timeout = 0s};
  CHECK(steps_of(pool) == Steps{"start coming slot 1", "start coming slot 2"});
  pool.coming->at_once = 1;
  CHECK(steps_of(pool) == Steps{"start coming slot 1"});
  pool.slots[0].coming = coming(3, WorkerState::booting);
  CHECK(steps_of(pool).empty());
  pool.slots[0].coming = coming(3, WorkerState::ready);
  CHECK(steps_of(pool) == Steps{"start coming slot 2"});

  // While canaries are tried they wait no longer; and a worker that is lost to its clients never does.
  pool.slots[1].coming = coming(4, WorkerState::ready);
  pool.coming->is_tried = true;
  CHECK(steps_of(pool) == Steps{"start slot 1"});
  pool.coming->is_tried = false;
  CHECK(steps_of(pool).empty());
  pool.slots[0].current->can_wait = false;
  CHECK(steps_of(pool) == Steps{"start slot 1"});
  pool.slots[0].current->can_wait = true;

  // The serving generation goes on as if nothing were: an empty slot of its is filled.
  pool.slots[1].current.reset();
  CHECK(steps_of(pool) == Steps{"start slot 2"});

  // The coming one may have more slots, and its own limit for starting.
  pool.slots[1].current = ready(2);
  pool.coming = ComingGenerationView{.wanted = 3, .at_once = 8, .startup_timeout = 50s};
  pool.slots.push_back({.slot = 3, .coming = coming(5, WorkerState::booting)});
  CHECK(steps_of(pool) == Steps{"kill 5 startup_timeout"});
  pool.coming->startup_timeout = 5min;
  CHECK(steps_of(pool).empty());

  // At a stop it goes, too.
  pool.is_stopping = true;
  CHECK(steps_of(pool) == Steps{"retire 1 stop", "retire 3 stop", "retire 2 stop", "retire 4 stop", "kill 5 stop"});
}
