#include "server/supervisor/reload.h"

#include "tests/support/catch.h"

using namespace stint;
using namespace stint::supervisor;
using namespace std::chrono_literals;
using Kind = Reload::Decision::Kind;

namespace {

const TimePoint now = TimePoint(1000s);
const ReloadSettings plain{.watch = false, .settle = 0ms, .canary = {}};

}  // namespace

TEST_CASE("a generation takes over when all of it is ready, and not before", "[supervisor]") {
  Reload reload(2, 2, plain);
  CHECK(reload.wanted() == 2);
  CHECK(reload.next({.is_ready = {}}, now).kind == Kind::wait);
  CHECK(reload.next({.is_ready = {true}}, now).kind == Kind::wait);
  CHECK(reload.next({.is_ready = {false, true}}, now).kind == Kind::wait);
  CHECK(reload.next({.is_ready = {true, true}}, now).kind == Kind::take_over);
}

TEST_CASE("it has to stay ready for the time to settle", "[supervisor]") {
  Reload reload(1, 1, {.watch = false, .settle = 1s, .canary = {}});
  CHECK(reload.next({.is_ready = {true}}, now).kind == Kind::wait);
  CHECK(reload.phase() == Reload::Phase::settling);
  CHECK(reload.next({.is_ready = {true}}, now + 999ms).kind == Kind::wait);
  CHECK(reload.next({.is_ready = {false}}, now + 999ms).kind == Kind::wait);
  CHECK(reload.next({.is_ready = {true}}, now + 1s).kind == Kind::wait);  // anew
  CHECK(reload.next({.is_ready = {true}}, now + 2s).kind == Kind::take_over);
}

TEST_CASE("canaries serve first, and the others start when they have answered enough", "[supervisor]") {
  Reload reload(3, 3, {.watch = false, .settle = 0ms, .canary = {.workers = 1, .requests = 100, .max_errors = 2}});
  CHECK(reload.wanted() == 1);
  CHECK(reload.next({.is_ready = {true}}, now).kind == Kind::serve_canaries);
  CHECK(reload.next({.is_ready = {true}, .requests = 99, .server_errors = 2}, now).kind == Kind::wait);
  CHECK(reload.wanted() == 1);
  CHECK(reload.next({.is_ready = {true}, .requests = 100, .server_errors = 2}, now).kind == Kind::wait);
  CHECK(reload.wanted() == 3);
  CHECK(reload.next({.is_ready = {true, true}, .requests = 150}, now).kind == Kind::wait);
  CHECK(reload.next({.is_ready = {true, true, true}, .requests = 150}, now).kind == Kind::take_over);
}

TEST_CASE("a canary with too many errors takes the generation back, also while the others start", "[supervisor]") {
  const ReloadSettings settings{
      .watch = false, .settle = 0ms, .canary = {.workers = 1, .requests = 10, .max_errors = 0}};
  Reload early(2, 2, settings);
  CHECK(early.next({.is_ready = {true}}, now).kind == Kind::serve_canaries);
  const auto decision = early.next({.is_ready = {true}, .requests = 7, .server_errors = 1}, now);
  CHECK(decision.kind == Kind::roll_back);
  CHECK(decision.why == "1 of the canary's 7 answers were 5xx");

  Reload late(2, 2, settings);
  CHECK(late.next({.is_ready = {true}}, now).kind == Kind::serve_canaries);
  CHECK(late.next({.is_ready = {true}, .requests = 10}, now).kind == Kind::wait);
  CHECK(late.next({.is_ready = {true, true}, .requests = 12, .server_errors = 1}, now).kind == Kind::roll_back);
}

TEST_CASE("a canary that can serve no more takes the generation back, whatever errors are allowed", "[supervisor]") {
  Reload reload(2, 2, {.watch = false, .settle = 0ms, .canary = {.workers = 1, .requests = 10, .max_errors = 9}});
  CHECK(reload.next({.is_ready = {true}}, now).kind == Kind::serve_canaries);
  CHECK(reload.next({.is_ready = {true}, .server_errors = 1}, now).kind == Kind::wait);
  const auto decision = reload.next({.is_ready = {true}, .server_errors = 1, .lost = "request_timeout"}, now);
  CHECK(decision.kind == Kind::roll_back);
  CHECK(decision.why == "a canary is lost: request_timeout");
}

TEST_CASE("as many canaries as workers are none", "[supervisor]") {
  Reload reload(2, 2, {.watch = false, .settle = 0ms, .canary = {.workers = 2, .requests = 10}});
  CHECK(reload.next({.is_ready = {true, true}}, now).kind == Kind::take_over);
}

TEST_CASE("where not all fit beside the old ones, as many as do take over", "[supervisor]") {
  Reload reload(4, 2, plain);
  CHECK(reload.wanted() == 2);
  CHECK(reload.next({.is_ready = {true}}, now).kind == Kind::wait);
  CHECK(reload.next({.is_ready = {true, true}}, now).kind == Kind::take_over);
}

TEST_CASE("canaries are no more than fit beside the old ones, and there are some where one alone fits",
          "[supervisor]") {
  Reload reload(4, 1, {.watch = false, .settle = 0ms, .canary = {.workers = 2, .requests = 10, .max_errors = 0}});
  CHECK(reload.wanted() == 1);
  CHECK(reload.next({.is_ready = {true}}, now).kind == Kind::serve_canaries);
  CHECK(reload.next({.is_ready = {true}, .requests = 9}, now).kind == Kind::wait);
  CHECK(reload.next({.is_ready = {true}, .requests = 9, .server_errors = 1}, now).kind == Kind::roll_back);
  CHECK(reload.next({.is_ready = {true}, .requests = 10}, now).kind == Kind::wait);
  CHECK(reload.next({.is_ready = {true}, .requests = 10}, now).kind == Kind::take_over);
}
