#include "server/control/idle_workers.h"

#include "tests/support/catch.h"

#include <sys/wait.h>
#include <unistd.h>

using namespace stint;
using namespace stint::control;

namespace {

struct Pool {
  UniqueFd file = std::move(*make_idle_workers());
  IdleWorkers worker() const { return std::move(*IdleWorkers::map(file.get())); }
};

const TimePoint now = std::chrono::steady_clock::now();

}  // namespace

TEST_CASE("a worker sees others that are idle, not itself", "[control]") {
  const Pool pool;
  IdleWorkers one = pool.worker(), two = pool.worker();
  one.say_idle(now);
  CHECK_FALSE(one.has_idle_other(now));
  CHECK(two.has_idle_other(now));
  one.say_busy();
  CHECK_FALSE(two.has_idle_other(now));
}

TEST_CASE("a busy worker is there, one that has gone is not", "[control]") {
  const Pool pool;
  IdleWorkers one = pool.worker(), two = pool.worker();
  CHECK_FALSE(two.has_other(now));  // it has said nothing yet
  one.say_busy(now);
  CHECK(two.has_other(now));
  CHECK_FALSE(two.has_idle_other(now));
  CHECK_FALSE(one.has_other(now));
  one.say_idle(now);
  CHECK(two.has_other(now));
  one.say_busy();
  CHECK(two.has_other(now));
  CHECK_FALSE(two.has_other(now + std::chrono::seconds(5)));
  one.say_gone();
  CHECK_FALSE(two.has_other(now));
}

TEST_CASE("what has been sent is counted, by whichever worker it was and until nothing is there", "[control]") {
  const Pool pool;
  const IdleWorkers one = pool.worker(), two = pool.worker();
  one.sent();
  two.sent();
  CHECK(one.waiting() == 2);
  two.took();
  CHECK(one.waiting() == 1);
  one.sent();
  two.nothing_sent();
  CHECK(one.waiting() == 0);
  two.took();  // a retired worker has put it in
  CHECK(two.waiting() == 0);
}

TEST_CASE("no more is sent than there are idle workers", "[control]") {
  const Pool pool;
  IdleWorkers one = pool.worker(), two = pool.worker(), busy = pool.worker();
  one.say_idle(now);
  two.say_idle(now);
  busy.sent();
  CHECK(busy.has_idle_other(now));
  busy.sent();
  CHECK_FALSE(busy.has_idle_other(now));
  one.took();
  CHECK(busy.has_idle_other(now));
  two.took();
  two.took();  // something that a retired worker had put in
  busy.sent();
  two.say_busy();
  CHECK_FALSE(busy.has_idle_other(now));
  one.nothing_sent();  // it was lost with its sender
  CHECK(busy.has_idle_other(now));
}

TEST_CASE("the loads of all workers that are there add up", "[control]") {
  const Pool pool;
  IdleWorkers one = pool.worker(), two = pool.worker(), three = pool.worker();
  one.say_idle(now);
  two.say_busy(now);
  one.say_load({1, 0.5, 7});
  two.say_load({1, 1.0, 3});
  three.say_load({1, 0.25, 50});  // it has not begun to serve
  CHECK(one.pool_load(now) == WorkLoad{2, 1.5, 10});
  CHECK(three.pool_load(now) == WorkLoad{2, 1.5, 10});
  two.say_gone();
  CHECK(three.pool_load(now) == WorkLoad{1, 0.5, 7});
  CHECK(three.pool_load(now + std::chrono::seconds(5)) == WorkLoad{});
}

TEST_CASE("the word of a worker that has died runs out, and its place is taken again", "[control]") {
  const Pool pool;
  const IdleWorkers other = pool.worker();
  const pid_t child = ::fork();
  if (child == 0) {
    IdleWorkers mine = pool.worker();
    mine.say_idle(now);
    ::_exit(0);  // without giving the place back
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  CHECK(other.has_idle_other(now));
  CHECK_FALSE(other.has_idle_other(now + std::chrono::seconds(5)));
  // More workers, one after the other, than there are places.
  for (int i = 0; i < 600; ++i) {
    IdleWorkers next = pool.worker();
    next.say_idle(now);
    REQUIRE(other.has_idle_other(now));
  }
  CHECK_FALSE(other.has_idle_other(now));
}
