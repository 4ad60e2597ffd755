#include "server/supervisor/restart_backoff.h"

#include "tests/support/catch.h"

using namespace stint;
using namespace stint::supervisor;
using namespace std::chrono_literals;

TEST_CASE("each failure in a row doubles the wait, from 0.1 s to 30 s", "[supervisor]") {
  const Duration expected[] = {100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 6400ms, 12800ms, 25600ms, 30s, 30s, 30s};
  unsigned failures = 0;
  for (const Duration delay : expected) {
    const Restart restart = restart_after(failures, false);
    CHECK(restart.delay == delay);
    failures = restart.failures;
  }
}

TEST_CASE("a worker that has served ends the row, and the next one starts at once", "[supervisor]") {
  CHECK(restart_after(5, false).delay == 3200ms);
  CHECK(restart_after(5, true).delay == 0ms);
  CHECK(restart_after(5, true).failures == 0);
}

TEST_CASE("the wait never overflows", "[supervisor]") {
  CHECK(restart_after(4'000'000'000U, false).delay == 30s);
  CHECK(restart_after(4'294'967'295U, false).failures > 0);
}
