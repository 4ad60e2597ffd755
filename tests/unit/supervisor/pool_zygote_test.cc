// The pool's part of start = "fork" with real processes: fake_worker is the zygote, and what is forked from it.
#include "tests/unit/supervisor/pool_stage.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>

using namespace stint;
using namespace stint::supervisor;

namespace {

// A zygote forks, or does what it is said to do while the marker is there.
struct Marker {
  char file[32] = "/tmp/stint-zygote-XXXXXX";
  explicit Marker(bool is_there = false) {
    ::close(::mkstemp(file));
    if (!is_there) remove();
  }
  ~Marker() { remove(); }
  void set() const { std::ofstream(file) << "now"; }
  void remove() const { std::filesystem::remove(file); }
  std::string does(const std::string& what) const { return what + " " + file; }
};

struct ForkStage : Stage {
  explicit ForkStage(const std::string& zygote, const std::string& worker = "serve")
      : Stage(worker, 2, FAKE_WORKER, zygote) {}

  bool is_complete_again() {
    return eventually([this] { return is_complete() && pids().size() == 2; });
  }
  // Those that are ready, of the generation.
  std::optional<pid_t> zygote(unsigned generation = 1) const {
    for (const ZygoteStatus& row : pool->status().zygotes)
      if (row.generation == generation && row.state == "ready") return row.pid;
    return std::nullopt;
  }
  pid_t kill_a_worker() const {
    const pid_t worker = *pids().begin();
    REQUIRE(::kill(worker, SIGKILL) == 0);
    return worker;
  }
};

bool is_child_left() { return ::waitpid(-1, nullptr, WNOHANG) != -1; }

}  // namespace

TEST_CASE("workers are forked from one zygote, and a dead one has an heir of the same", "[supervisor]") {
  const int before = open_descriptors();
  {
    ForkStage stage("fork");
    REQUIRE(stage.is_complete_again());
    const auto zygote = stage.zygote();
    REQUIRE(zygote.has_value());
    CHECK(stage.pool->has_process(*zygote));
    CHECK(stage.log.count("zygote started") == 1);
    CHECK(stage.log.count("worker started pool=site gen=1") == 2);
    CHECK(stage.log.count("python=forked") == 2);
    const pid_t victim = stage.kill_a_worker();
    REQUIRE(stage.eventually([&] { return stage.log.count("worker died") == 1; }));
    REQUIRE(stage.is_complete_again());
    CHECK_FALSE(stage.pids().contains(victim));
    CHECK(stage.zygote() == zygote);
    stage.pool->stop();
    REQUIRE(stage.eventually([&] { return stage.pool->is_empty(); }));
    CHECK(stage.log.count("worker exited") == 2);
    CHECK(stage.log.count("zygote exited") == 1);
    CHECK_FALSE(is_child_left());
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("a zygote that cannot start fails the first start, told once with the step", "[supervisor]") {
  const Marker marker(true);
  SECTION("because it says so") {
    ForkStage stage(marker.does("fail"));
    REQUIRE(stage.eventually([&] { return stage.pool->is_empty(); }));
    CHECK(stage.pool->has_failed_start());
    CHECK(stage.log.count("cannot start") == 1);
    CHECK(stage.log.count("step=import error=ImportError: no\nTraceback: somewhere") == 1);
  }
  SECTION("because it is not ready in time") {
    ForkStage stage(marker.does("hang"));
    stage.app->workers.startup_timeout = 50ms;
    REQUIRE(stage.eventually([&] { return stage.pool->is_empty(); }));
    CHECK(stage.pool->has_failed_start());
    CHECK(stage.log.count("cannot start") == 1);
    CHECK(stage.log.count("not ready within 0.1s (app.workers.startup_timeout)") == 1);
  }
  SECTION("because it dies of the first order") {
    ForkStage stage(marker.does("die"));
    REQUIRE(stage.eventually([&] { return stage.pool->is_empty(); }));
    CHECK(stage.pool->has_failed_start());
    CHECK(stage.log.count("cannot start") == 1);
  }
  SECTION("because it refuses to fork") {
    ForkStage stage(marker.does("refuse"));
    REQUIRE(stage.eventually([&] { return stage.pool->is_empty(); }));
    CHECK(stage.pool->has_failed_start());
    CHECK(stage.log.count("cannot start") == 1);
    CHECK(stage.log.count("step=fork error=Resource temporarily unavailable") == 1);
  }
  CHECK_FALSE(is_child_left());
}

TEST_CASE("a fork that is refused is asked for again, and the others serve meanwhile", "[supervisor]") {
  const Marker marker;
  ForkStage stage(marker.does("refuse"));
  REQUIRE(stage.is_complete_again());
  const auto zygote = stage.zygote();
  marker.set();
  stage.kill_a_worker();
  REQUIRE(stage.eventually([&] { return stage.log.count("step=fork error=Resource temporarily unavailable") >= 2; }));
  CHECK(stage.pool->ready_count() == 1);
  CHECK_FALSE(stage.pool->has_failed_start());
  CHECK(stage.log.count("next=restart in ") >= 2);
  marker.remove();
  REQUIRE(stage.is_complete_again());
  CHECK(stage.zygote() == zygote);
  CHECK(stage.log.count("zygote died") == 0);
}

TEST_CASE("a zygote that dies while forks are asked for is replaced, and then they are forked", "[supervisor]") {
  const Marker marker;
  ForkStage stage(marker.does("die"));
  REQUIRE(stage.is_complete_again());
  const auto first = stage.zygote();
  marker.set();
  const pid_t victim = stage.kill_a_worker();
  REQUIRE(stage.eventually([&] { return stage.log.count("zygote died") >= 2; }));
  CHECK(stage.log.count("zygote died pool=site gen=1 pid=" + std::to_string(*first) + " exit_code=5") == 1);
  CHECK(stage.pool->ready_count() == 1);  // its workers go on
  CHECK_FALSE(stage.pool->has_failed_start());
  marker.remove();
  REQUIRE(stage.is_complete_again());
  CHECK_FALSE(stage.pids().contains(victim));
  CHECK(stage.zygote() != first);
}

TEST_CASE("a zygote that is killed with all its workers has a successor that forks them anew", "[supervisor]") {
  ForkStage stage("fork");
  REQUIRE(stage.is_complete_again());
  const auto before = stage.pids();
  const auto first = stage.zygote();
  REQUIRE(first.has_value());
  REQUIRE(::kill(*first, SIGKILL) == 0);
  for (const pid_t worker : before) REQUIRE(::kill(worker, SIGKILL) == 0);
  REQUIRE(stage.eventually([&] {
    const auto now = stage.pids();
    return now.size() == 2 && std::none_of(now.begin(), now.end(), [&](pid_t pid) { return before.contains(pid); });
  }));
  CHECK(stage.zygote().has_value());
  CHECK(stage.zygote() != first);
}

TEST_CASE("a reload brings a zygote of its own, and the old one ends with its workers", "[supervisor]") {
  ForkStage stage("fork");
  REQUIRE(stage.is_complete_again());
  const auto before = stage.pids();
  stage.pool->reload(stage.generation(stage.pool->next_generation()), {}, {}, [] {}, [] {});
  REQUIRE(stage.eventually([&] { return stage.pool->reload_report().state == ReloadReport::State::done; }));
  REQUIRE(stage.eventually([&] { return stage.log.count("zygote exited pool=site gen=1") == 1; }));
  REQUIRE(stage.eventually([&] { return stage.pool->status().workers.size() == 2; }));
  CHECK(stage.pool->status().zygotes.size() == 1);
  CHECK(stage.zygote(2).has_value());
  for (const pid_t pid : stage.pids()) CHECK_FALSE(before.contains(pid));
  for (const auto& worker : stage.pool->status().workers) CHECK(worker.generation == 2);
}

TEST_CASE("a reload whose zygote fails, or forks nobody, changes nothing", "[supervisor]") {
  const Marker marker;
  ForkStage stage("fork");
  REQUIRE(stage.is_complete_again());
  const auto before = stage.pids();
  const auto zygote = stage.zygote();
  marker.set();
  for (const char* behaviour : {"fail", "refuse", "die"}) {
    INFO(behaviour);
    stage.settings.env["FAKE_ZYGOTE_DOES"] = marker.does(behaviour);
    stage.pool->reload(
        stage.generation(stage.pool->next_generation()), {}, {}, [] { FAIL("it must not take over"); }, [] {});
    REQUIRE(stage.eventually([&] { return stage.pool->reload_report().state == ReloadReport::State::failed; }));
    REQUIRE(stage.eventually([&] { return stage.pool->status().zygotes.size() == 1; }));
    CHECK(stage.pids() == before);
    CHECK(stage.zygote() == zygote);
  }
  CHECK(stage.pool->generation() == 1);
}

TEST_CASE("a fork that never comes is given up with its zygote, and nobody is left", "[supervisor]") {
  const std::string behaviour = GENERATE("swallow", "mute");
  const Marker marker;
  {
    ForkStage stage(marker.does(behaviour));
    REQUIRE(stage.is_complete_again());
    const auto first = stage.zygote();
    marker.set();
    stage.kill_a_worker();
    REQUIRE(stage.eventually([&] { return stage.pool->waits_for_forks(); }));
    stage.app->workers.startup_timeout = 50ms;
    REQUIRE(stage.eventually([&] { return stage.log.count("cause=it did not fork in time") >= 1; }));
    stage.app->workers.startup_timeout = 60s;
    marker.remove();
    REQUIRE(stage.is_complete_again());
    CHECK(stage.zygote() != first);
    CHECK_FALSE(stage.pool->has_failed_start());
    stage.pool->stop();
    REQUIRE(stage.eventually([&] { return stage.pool->is_empty() && !is_child_left(); }));
  }
}

TEST_CASE("a pool that stops while a fork is awaited leaves nobody", "[supervisor]") {
  const std::string behaviour = GENERATE("swallow", "mute");
  const Marker marker;
  ForkStage stage(marker.does(behaviour));
  REQUIRE(stage.is_complete_again());
  marker.set();
  stage.kill_a_worker();
  REQUIRE(stage.eventually([&] { return stage.pool->waits_for_forks(); }));
  stage.pool->stop();
  REQUIRE(stage.eventually([&] { return stage.pool->is_empty(); }));
  CHECK(stage.eventually([&] { return !is_child_left(); }));
}
