#include "server/worker/event_loop.h"

#include "tests/support/catch.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <functional>

using stint::UniqueFd;
using stint::worker::DeadlineList;
using stint::worker::EventLoop;
using stint::worker::Timed;
using stint::worker::Watcher;

namespace {

struct Callback final : Watcher {
  explicit Callback(std::function<void(std::uint32_t)> f) : run(std::move(f)) {}
  void on_ready(std::uint32_t events) override { run(events); }
  std::function<void(std::uint32_t)> run;
};

UniqueFd ready_event() { return UniqueFd(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)); }

std::unique_ptr<EventLoop> make_loop() {
  auto loop = EventLoop::make();
  REQUIRE(loop.has_value());
  return std::move(*loop);
}

}  // namespace

TEST_CASE("a watcher that is unwatched by another one of the same batch is not called", "[worker]") {
  auto loop = make_loop();
  const UniqueFd one = ready_event(), two = ready_event();
  int called = 0;
  Callback* second = nullptr;
  Callback first([&](std::uint32_t) {
    ++called;
    loop->unwatch(two.get());
  });
  Callback other([&](std::uint32_t) {
    ++called;
    loop->unwatch(one.get());
  });
  second = &other;
  REQUIRE(loop->watch(one.get(), EPOLLIN, first).has_value());
  REQUIRE(loop->watch(two.get(), EPOLLIN, *second).has_value());

  loop->step();
  loop->step();  // the event of the one that was unwatched was fetched already
  CHECK(called == 1);
}

TEST_CASE("an event fetched for a descriptor does not reach the next user of its number", "[worker]") {
  auto loop = make_loop();
  const UniqueFd one = ready_event(), two = ready_event();
  int wrong = 0;
  Callback newcomer([&](std::uint32_t) { ++wrong; });
  const auto replace = [&](int gone) {
    loop->unwatch(gone);
    REQUIRE(loop->watch(gone, 0, newcomer).has_value());  // waits for nothing
  };
  bool is_replaced = false;
  Callback first([&](std::uint32_t) {
    if (!std::exchange(is_replaced, true)) replace(two.get());
  });
  Callback second([&](std::uint32_t) {
    if (!std::exchange(is_replaced, true)) replace(one.get());
  });
  REQUIRE(loop->watch(one.get(), EPOLLIN, first).has_value());
  REQUIRE(loop->watch(two.get(), EPOLLIN, second).has_value());

  loop->step();
  loop->step();
  CHECK(is_replaced);
  CHECK(wrong == 0);
}

TEST_CASE("the loop run from within a watcher goes on with the rest of the batch", "[worker]") {
  auto loop = make_loop();
  const UniqueFd one = ready_event(), two = ready_event();
  int depth = 0, deepest = 0, called = 0;
  const auto run = [&](int fd) {
    ++called;
    deepest = std::max(deepest, ++depth);
    loop->unwatch(fd);
    if (called == 1) loop->step();
    --depth;
  };
  Callback first([&](std::uint32_t) { run(one.get()); });
  Callback second([&](std::uint32_t) { run(two.get()); });
  REQUIRE(loop->watch(one.get(), EPOLLIN, first).has_value());
  REQUIRE(loop->watch(two.get(), EPOLLIN, second).has_value());

  loop->step();
  CHECK(called == 2);
  CHECK(deepest == 2);
}

TEST_CASE("a step without readiness ends with the next deadline", "[worker]") {
  auto loop = make_loop();
  struct Alarm final : Timed {
    void on_deadline() override { ++rung; }
    int rung = 0;
  } alarm;
  DeadlineList list(std::chrono::milliseconds(5));
  loop->add(list);
  list.arm(alarm, loop->now());
  loop->step();
  CHECK(alarm.rung == 1);
}
