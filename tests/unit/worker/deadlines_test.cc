#include "server/worker/deadlines.h"

#include "tests/support/catch.h"

#include <memory>
#include <vector>

using namespace std::chrono_literals;
using stint::TimePoint;
using stint::worker::DeadlineList;
using stint::worker::Timed;

namespace {
struct Alarm final : Timed {
  explicit Alarm(std::vector<int>& r, int n) : rung(r), number(n) {}
  void on_deadline() override { rung.push_back(number); }
  std::vector<int>& rung;
  int number;
};
}  // namespace

TEST_CASE("deadlines of a list ring in the order they were armed, and only when due", "[worker]") {
  std::vector<int> rung;
  DeadlineList list(100ms);
  Alarm first(rung, 1), second(rung, 2);
  const TimePoint start{};

  list.arm(first, start);
  list.arm(second, start + 50ms);
  CHECK(list.next_due() == start + 100ms);
  list.expire(start + 99ms);
  CHECK(rung.empty());
  list.expire(start + 100ms);
  CHECK(rung == std::vector{1});
  list.expire(start + 150ms);
  CHECK(rung == std::vector{1, 2});
  CHECK(list.next_due() == TimePoint::max());
}

TEST_CASE("arming again moves a deadline, also from one list to another", "[worker]") {
  std::vector<int> rung;
  DeadlineList list(100ms), other(10ms);
  Alarm first(rung, 1), second(rung, 2);
  const TimePoint start{};
  list.arm(first, start);
  list.arm(second, start);

  list.arm(first, start + 20ms);
  list.expire(start + 100ms);
  CHECK(rung == std::vector{2});
  other.arm(first, start + 100ms);
  CHECK(list.next_due() == TimePoint::max());
  other.expire(start + 110ms);
  CHECK(rung == std::vector{2, 1});
}

TEST_CASE("a destroyed or disarmed deadline never rings, and a length of zero is no limit", "[worker]") {
  std::vector<int> rung;
  DeadlineList list(1ms), endless(0ms);
  const TimePoint start{};
  auto gone = std::make_unique<Alarm>(rung, 1);
  Alarm disarmed(rung, 2), unlimited(rung, 3);
  list.arm(*gone, start);
  list.arm(disarmed, start);
  endless.arm(unlimited, start);

  gone.reset();
  disarmed.disarm();
  list.expire(start + 1h);
  endless.expire(start + 1h);
  CHECK(rung.empty());
}
