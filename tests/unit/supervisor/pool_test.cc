// The pool with real processes: fake_worker speaks a worker's part.
#include "tests/unit/supervisor/pool_stage.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace stint;
using namespace stint::supervisor;

namespace {

// What the keepers of workers that died have written: the last digit of their verdicts.
struct Verdicts {
  char file[32] = "/tmp/stint-verdict-XXXXXX";
  Verdicts() { ::close(::mkstemp(file)); }
  ~Verdicts() { std::filesystem::remove(file); }
  std::string keep() const { return std::string("keep ") + file; }
  std::string text() const {
    std::string text;
    std::ifstream(file) >> text;
    return text;
  }
};

}  // namespace

TEST_CASE("workers start clean, with their descriptors and nothing else", "[supervisor]") {
  // fake_worker looks at its descriptors, signals and process group itself, and exits when something is wrong.
  std::signal(SIGUSR2, SIG_IGN);
  const int leak = ::open("/dev/null", O_RDONLY);  // without close-on-exec
  Stage stage("serve", 3);
  CHECK(stage.eventually([&] { return stage.is_complete(); }));
  CHECK(stage.log.count("worker started") == 3);
  CHECK(stage.log.count("python=name = \"site\"") == 3);  // each has read the settings from their beginning
  ::close(leak);
  std::signal(SIGUSR2, SIG_DFL);
}

TEST_CASE("a worker that is killed is replaced in its slot", "[supervisor]") {
  Stage stage("serve");
  REQUIRE(stage.eventually([&] { return stage.is_complete(); }));
  const auto before = stage.pids();
  REQUIRE(::kill(*before.begin(), SIGKILL) == 0);
  REQUIRE(stage.eventually([&] { return stage.log.count("worker died") == 1; }));
  CHECK(stage.log.count("signal=SIGKILL requests=0") == 1);
  CHECK(stage.log.count("next=restart in 0.1s") == 1);
  REQUIRE(stage.eventually([&] { return stage.is_complete(); }));
  CHECK(stage.pids().size() == 2);
  CHECK(stage.pids() != before);
  CHECK(stage.pool->status().restarts == 1);
}

TEST_CASE("recycling replaces all workers one by one and the pool is never short of one", "[supervisor]") {
  Stage stage("serve", 2);
  REQUIRE(stage.eventually([&] { return stage.is_complete(); }));
  const auto before = stage.pids();
  CHECK(stage.pool->recycle(std::nullopt, RecycleReason::operator_asked) == 2);
  bool was_always_complete = true;
  REQUIRE(stage.eventually([&] {
    was_always_complete = was_always_complete && stage.is_complete();
    return stage.log.count("worker exited") == 2;
  }));
  CHECK(was_always_complete);
  for (const pid_t pid : stage.pids()) CHECK_FALSE(before.contains(pid));
  CHECK(stage.pool->status().recycled.at(RecycleReason::operator_asked) == 2);
  CHECK(stage.log.count("worker retiring pool=site gen=1") == 2);
  CHECK(stage.pool->recycle(9, RecycleReason::operator_asked) == 0);
}

TEST_CASE("a first start that fails is told once, with the traceback, and leaves nothing running", "[supervisor]") {
  Stage stage("fail", 4);
  REQUIRE(stage.eventually([&] { return stage.pool->is_empty(); }));
  CHECK(stage.pool->has_failed_start());
  CHECK(stage.log.count("cannot start") == 1);
  CHECK(stage.log.count("step=import error=ImportError: no\nTraceback: somewhere") == 1);
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);  // no child, not even a dead one
}

TEST_CASE("a worker that dies silently before it is ready fails the first start", "[supervisor]") {
  Stage stage("crash", 2);
  REQUIRE(stage.eventually([&] { return stage.pool->is_empty(); }));
  CHECK(stage.pool->has_failed_start());
  CHECK(stage.log.count("cannot start") == 1);
  CHECK(stage.log.count("ended by SIGABRT before it was ready") == 1);
}

TEST_CASE("a worker that does not get ready in time fails the first start", "[supervisor]") {
  Stage stage("hang", 1);
  stage.app->workers.startup_timeout = 50ms;
  REQUIRE(stage.eventually([&] { return stage.pool->is_empty(); }));
  CHECK(stage.pool->has_failed_start());
  CHECK(stage.log.count("cannot start") == 1);
  CHECK(stage.log.count("not ready within 0.1s (app.workers.startup_timeout)") == 1);
}

TEST_CASE("a program that cannot be executed fails the first start", "[supervisor]") {
  const int before = open_descriptors();
  {
    Stage stage("serve", 2, "/nonexistent/stint");
    CHECK(stage.pool->has_failed_start());
    CHECK(stage.log.count("cannot start") == 1);
    CHECK(stage.log.count("No such file or directory") == 1);
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("when replacements cannot start the workers that serve stay", "[supervisor]") {
  char marker[] = "/tmp/stint-pool-XXXXXX";
  ::close(::mkstemp(marker));
  std::filesystem::remove(marker);
  {
    Stage stage(std::string("serve, then ") + marker, 2);
    REQUIRE(stage.eventually([&] { return stage.is_complete(); }));
    const auto before = stage.pids();
    std::ofstream(marker) << "now";
    stage.pool->recycle(std::nullopt, RecycleReason::reload);
    REQUIRE(stage.eventually([&] { return stage.log.count("worker failed to start") >= 3; }));
    CHECK_FALSE(stage.pool->has_failed_start());
    CHECK(stage.pids() == before);
    CHECK(stage.log.count("next=another worker has its slot") >= 2);

    std::filesystem::remove(marker);
    REQUIRE(stage.eventually([&] { return stage.log.count("worker exited") == 2; }));
    for (const pid_t pid : stage.pids()) CHECK_FALSE(before.contains(pid));
  }
  std::filesystem::remove(marker);
}

TEST_CASE("slots come and go with the operator's wish, but one stays", "[supervisor]") {
  Stage stage("serve", 1);
  REQUIRE(stage.eventually([&] { return stage.is_complete(); }));
  stage.pool->grow();
  REQUIRE(stage.eventually([&] { return stage.pids().size() == 2; }));
  stage.pool->shrink();
  REQUIRE(stage.eventually([&] { return stage.log.count("worker exited") == 1; }));
  stage.pool->shrink();
  CHECK(stage.log.count("the last worker stays") == 1);
  CHECK(stage.pids().size() == 1);
}

TEST_CASE("a worker's death names the request that ran, and that it is not its first victim", "[supervisor]") {
  const Verdicts verdicts;
  Stage stage(verdicts.keep(), 1);
  REQUIRE(stage.eventually([&] { return stage.is_complete(); }));
  const auto status = stage.pool->status();
  REQUIRE(status.workers[0].running.size() == 1);
  CHECK(status.workers[0].running[0].target == "/slow?x=1");

  REQUIRE(::kill(status.workers[0].pid, SIGABRT) == 0);
  REQUIRE(stage.eventually([&] { return stage.log.count("worker died") == 1; }));
  CHECK(stage.log.count("cause=signal private_memory=0.0MiB") == 1);
  CHECK(stage.log.count("running=GET /slow?x=1 id=req-1 ") == 1);
  CHECK(stage.log.count("a request has ended more than one worker pool=site worker=1 request=GET /slow?x=1") == 1);
  REQUIRE(stage.eventually([&] { return verdicts.text() == "2"; }));
}

TEST_CASE("a worker whose keeper died is replaced", "[supervisor]") {
  const Verdicts verdicts;
  Stage stage(verdicts.keep(), 1);
  REQUIRE(stage.eventually([&] { return stage.is_complete(); }));
  const pid_t keeper = stage.pool->status().workers[0].keeper;
  REQUIRE(keeper > 0);
  REQUIRE(::kill(keeper, SIGKILL) == 0);
  REQUIRE(stage.eventually([&] { return stage.log.count("worker exited") == 1; }));
  CHECK(stage.log.count("keeper died pool=site gen=1 worker=1") == 1);
  CHECK(stage.log.count("signal=SIGKILL next=its worker is replaced") == 1);
  CHECK(stage.pool->status().recycled.at(RecycleReason::keeper_lost) == 1);
  CHECK(stage.pool->status().workers[0].keeper != keeper);
  CHECK(stage.pool->status().restarts == 0);
}

TEST_CASE("a keeper that ends because its worker has is no loss, and none is left", "[supervisor]") {
  const Verdicts verdicts;
  {
    Stage stage(verdicts.keep(), 2);
    REQUIRE(stage.eventually([&] { return stage.is_complete(); }));
    stage.pool->recycle(1, RecycleReason::operator_asked);
    REQUIRE(stage.eventually([&] { return stage.log.count("worker exited") == 1; }));
    stage.pool->stop();
    REQUIRE(stage.eventually([&] { return stage.pool->is_empty(); }));
    CHECK(stage.log.count("keeper died") == 0);
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
  }
}

TEST_CASE("a keeper whose end is seen before that of its dead worker is no loss", "[supervisor]") {
  const Verdicts verdicts;
  Stage stage(verdicts.keep(), 1);
  REQUIRE(stage.eventually([&] { return stage.is_complete(); }));
  const auto worker = stage.pool->status().workers[0];
  REQUIRE(::kill(worker.pid, SIGKILL) == 0);
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(worker.pid), &info, WEXITED | WNOWAIT) == 0);
  stage.pool->on_child_end(worker.keeper, {});
  CHECK(stage.log.count("keeper died") == 0);
}

TEST_CASE("the keeper of a worker that took too long or too much is told so", "[supervisor]") {
  const Verdicts verdicts;
  Stage stage(verdicts.keep(), 1);
  REQUIRE(stage.eventually([&] { return stage.is_complete(); }));
  SECTION("request_timeout") {
    stage.app->workers.request_timeout = 1ms;
    REQUIRE(stage.eventually([&] { return stage.log.count("cause=request_timeout") >= 1; }));
    CHECK(stage.eventually([&] { return verdicts.text().starts_with("4"); }));
  }
  SECTION("kill_rss") {
    stage.app->recycle.kill_rss = {1};
    REQUIRE(stage.eventually([&] { return stage.log.count("cause=kill_rss") >= 1; }));
    CHECK(stage.log.count("killing a worker pool=site gen=1 worker=1") >= 1);
    CHECK(stage.log.count("reason=kill_rss") >= 1);
    CHECK(stage.eventually([&] { return verdicts.text().starts_with("3"); }));
  }
}

TEST_CASE("a limit that every worker reaches at once is told, not every time", "[supervisor]") {
  Stage stage("serve", 1);
  stage.app->recycle.max_fds = 1;
  REQUIRE(stage.eventually([&] { return stage.pool->status().recycled[RecycleReason::max_fds] >= 2; }));
  // Whether the first one was ready only for a moment depends on the machine; the others are looked at once a second.
  CHECK(stage.log.count("workers reach a limit soon after their start") <= 1);
}

TEST_CASE("a stop ends all workers and nothing is left", "[supervisor]") {
  const int before = open_descriptors();
  {
    Stage stage("serve", 3);
    REQUIRE(stage.eventually([&] { return stage.is_complete(); }));
    stage.pool->stop();
    REQUIRE(stage.eventually([&] { return stage.pool->is_empty(); }));
    CHECK(stage.log.count("worker exited") == 3);
    CHECK(stage.log.count("reason=stop") == 3);
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("a new generation takes over all slots, more or fewer than there were", "[supervisor]") {
  Stage stage("serve", 2);
  REQUIRE(stage.eventually([&] { return stage.is_complete(); }));
  const auto before = stage.pids();
  for (const unsigned count : {3U, 1U}) {
    stage.settings.workers.count = count;
    bool has_taken_over = false;
    stage.pool->reload(
        stage.generation(stage.pool->next_generation()), {}, {}, [&] { has_taken_over = true; },
        [] { FAIL("it must not be given up"); });
    CHECK(stage.pool->is_reloading());
    REQUIRE(stage.eventually([&] { return stage.pool->reload_report().state == ReloadReport::State::done; }));
    CHECK(has_taken_over);
    REQUIRE(stage.eventually([&] { return stage.pool->status().workers.size() == count; }));
    for (const auto& worker : stage.pool->status().workers) CHECK(worker.generation == stage.pool->generation());
    for (const pid_t pid : stage.pids()) CHECK_FALSE(before.contains(pid));
  }
}

TEST_CASE("a generation that cannot start leaves the pool as it was", "[supervisor]") {
  Stage stage("serve", 2);
  REQUIRE(stage.eventually([&] { return stage.is_complete(); }));
  const auto before = stage.pids();
  for (const char* behaviour : {"fail", "crash"}) {
    stage.settings.env["FAKE_WORKER_DOES"] = behaviour;
    bool is_given_up = false;
    stage.pool->reload(
        stage.generation(stage.pool->next_generation()), {}, {}, [] { FAIL("it must not take over"); },
        [&] { is_given_up = true; });
    REQUIRE(stage.eventually([&] { return stage.pool->reload_report().state == ReloadReport::State::failed; }));
    CHECK(is_given_up);
    REQUIRE(stage.eventually([&] { return stage.pool->status().workers.size() == 2; }));
    CHECK(stage.pids() == before);
  }
  CHECK(stage.log.count("step=import error=ImportError: no") == 1);
  CHECK(stage.pool->generation() == 1);
}

TEST_CASE("a canary's errors take its generation back", "[supervisor]") {
  Stage stage("serve", 2);
  REQUIRE(stage.eventually([&] { return stage.is_complete(); }));
  const ReloadSettings settings{
      .watch = false, .settle = 0ms, .canary = {.workers = 1, .requests = 50, .max_errors = 0}};
  stage.settings.env["FAKE_WORKER_DOES"] = "answer with errors";
  stage.pool->reload(stage.generation(stage.pool->next_generation()), settings, {}, [] { FAIL("it must not"); }, [] {});
  REQUIRE(stage.eventually([&] { return stage.pool->reload_report().state == ReloadReport::State::failed; }));
  CHECK(stage.pool->reload_report().step == "canary");

  stage.settings.env["FAKE_WORKER_DOES"] = "answer well";
  stage.pool->reload(stage.generation(stage.pool->next_generation()), settings, {}, [] {}, [] {});
  REQUIRE(stage.eventually([&] { return stage.pool->reload_report().state == ReloadReport::State::done; }));
  CHECK(stage.pool->reload_report().started == 2);
}
