#include "server/supervisor/autoscaling.h"

#include "tests/support/catch.h"

using namespace stint;
using namespace stint::supervisor;
using namespace std::chrono_literals;

namespace {

const WorkersSettings range{.count = 2, .max_count = 4, .shrink_after = 10s};

// A pool under Autoscaling, looked at every 50 ms.
struct Scaled {
  Autoscaling autoscaling;
  unsigned count = 2;
  TimePoint now{1000s};
  bool fits = true;
  unsigned asked = 0;

  void look(const PoolLoad& load, Duration duration, const WorkersSettings& settings = range) {
    for (const TimePoint end = now + duration; now < end; now += 50ms) {
      count = autoscaling.next(settings, count, load, now, [this] {
        ++asked;
        return fits;
      });
    }
  }
};

}  // namespace

TEST_CASE("a pool whose workers are all busy grows to its most, one by one", "[supervisor]") {
  Scaled pool;
  pool.look({.ready = 2, .busy = 2}, 250ms);
  CHECK(pool.count == 2);
  pool.look({.ready = 2, .busy = 2}, 50ms);
  CHECK(pool.count == 3);
  pool.look({.ready = 2, .busy = 2}, 60s);  // the third is on its way
  CHECK(pool.count == 3);
  pool.look({.ready = 3, .busy = 3}, 300ms);
  CHECK(pool.count == 4);
  pool.look({.ready = 4, .busy = 4}, 60s);
  CHECK(pool.count == 4);
}

TEST_CASE("one look at a worker that is idle begins the time anew", "[supervisor]") {
  Scaled pool;
  for (int i = 0; i < 20; ++i) {
    pool.look({.ready = 2, .busy = 2}, 200ms);
    pool.look({.ready = 2, .busy = 1}, 50ms);
  }
  CHECK(pool.count == 2);
}

TEST_CASE("who waits in a listener's queue counts as well", "[supervisor]") {
  Scaled pool;
  pool.look({.ready = 2, .busy = 0, .waiting = 1}, 300ms);
  CHECK(pool.count == 3);
}

TEST_CASE("a worker goes when for all of shrink_after one less would have done", "[supervisor]") {
  Scaled pool;
  pool.count = 4;
  pool.look({.ready = 4, .busy = 2}, 10s);
  CHECK(pool.count == 4);
  pool.look({.ready = 4, .busy = 2}, 50ms);
  CHECK(pool.count == 3);
  pool.look({.ready = 3, .busy = 2}, 60s);  // without one more there would be no idle one
  CHECK(pool.count == 3);
  pool.look({.ready = 3, .busy = 0}, 5s);
  pool.look({.ready = 3, .busy = 2}, 50ms);
  pool.look({.ready = 3, .busy = 0}, 9s);
  CHECK(pool.count == 3);
  pool.look({.ready = 3, .busy = 0}, 2s);
  CHECK(pool.count == 2);
  pool.look({.ready = 2, .busy = 0}, 60s);
  CHECK(pool.count == 2);
}

TEST_CASE("without memory for one more the pool stays, and is told of it", "[supervisor]") {
  Scaled pool;
  pool.fits = false;
  pool.look({.ready = 2, .busy = 1}, 1s);
  CHECK(pool.asked == 0);
  pool.look({.ready = 2, .busy = 2}, 1s);
  CHECK(pool.count == 2);
  CHECK(pool.asked > 0);
  CHECK(pool.autoscaling.is_held_by_memory());
  pool.fits = true;
  pool.look({.ready = 2, .busy = 2}, 50ms);
  CHECK(pool.count == 3);
  CHECK_FALSE(pool.autoscaling.is_held_by_memory());
}

TEST_CASE("a range that has moved takes the count along", "[supervisor]") {
  Scaled pool;
  pool.look({.ready = 2, .busy = 0}, 50ms, {.count = 3, .max_count = 5, .shrink_after = 10s});
  CHECK(pool.count == 3);
  pool.count = 9;
  pool.look({.ready = 9, .busy = 9}, 50ms, {.count = 3, .max_count = 5, .shrink_after = 10s});
  CHECK(pool.count == 5);
}
