#include "server/supervisor/recycling_policy.h"

#include "tests/support/catch.h"

using namespace stint;
using namespace stint::supervisor;
using namespace std::chrono_literals;

TEST_CASE("a worker is replaced when it reaches a limit, and only then", "[supervisor]") {
  struct Row {
    const char* what;
    std::uint64_t requests;
    Bytes memory;
    Duration age;
    RecycleSettings settings;
    std::optional<RecycleReason> reason;
  };
  const RecycleSettings none{};
  const RecycleSettings all{.max_requests = 100, .max_rss = 256_MiB, .max_age = 12h};
  const Row table[] = {
      {"without limits a worker stays for ever", 1'000'000, 900_GiB, 10'000h, none, std::nullopt},
      {"young, small and little used", 99, 256_MiB, 12h - 1ms, all, std::nullopt},
      {"its last request is answered", 100, {}, 1s, all, RecycleReason::max_requests},
      {"one byte too many", 1, {(256_MiB).count + 1}, 1s, all, RecycleReason::max_rss},
      {"exactly as much as it may", 1, 256_MiB, 1s, all, std::nullopt},
      {"old enough", 1, {}, 12h, all, RecycleReason::max_age},
      {"more than one reason: the first", 100, 900_GiB, 13h, all, RecycleReason::max_requests},
  };
  for (const Row& row : table) {
    CAPTURE(row.what);
    const WorkerUse use{.report = {.counts = {.requests = row.requests}, .private_memory = row.memory}, .age = row.age};
    CHECK(reason_to_recycle(use, row.settings) == row.reason);
  }
}

TEST_CASE("descriptors and threads have limits, and clients' connections are not counted", "[supervisor]") {
  struct Row {
    const char* what;
    unsigned descriptors;
    std::uint32_t connections;
    unsigned threads;
    std::optional<RecycleReason> reason;
  };
  const RecycleSettings settings{.max_fds = 100, .max_threads = 8};
  const Row table[] = {
      {"not looked at yet", 0, 500, 0, std::nullopt},
      {"exactly as many as it may", 100, 0, 8, std::nullopt},
      {"one descriptor too many", 101, 0, 1, RecycleReason::max_fds},
      {"many clients, few of its own", 1100, 1000, 1, std::nullopt},
      {"many clients, too many of its own", 1101, 1000, 1, RecycleReason::max_fds},
      {"one thread too many", 100, 0, 9, RecycleReason::max_threads},
  };
  for (const Row& row : table) {
    CAPTURE(row.what);
    const WorkerUse use{
        .report = {.connections = row.connections}, .age = 1h, .descriptors = row.descriptors, .threads = row.threads};
    CHECK(reason_to_recycle(use, settings) == row.reason);
    CHECK(reason_to_recycle(use, {}) == std::nullopt);
  }
}

TEST_CASE("a young worker is not replaced because of a limit", "[supervisor]") {
  const RecycleSettings settings{
      .max_requests = 1, .max_rss = 1_MiB, .max_age = 1ms, .max_fds = 1, .max_threads = 1, .min_age = 10s};
  WorkerUse use{
      .report = {.counts = {.requests = 2}, .private_memory = 2_MiB}, .age = 10s - 1ms, .descriptors = 9, .threads = 9};
  CHECK(reason_to_recycle(use, settings) == std::nullopt);
  use.age = 10s;
  CHECK(reason_to_recycle(use, settings) == RecycleReason::max_requests);
}

TEST_CASE("a worker that has reached a limit serves on, one that is lost to its clients does not", "[supervisor]") {
  CHECK(can_wait(RecycleReason::max_requests));
  CHECK(can_wait(RecycleReason::memory_budget));
  CHECK_FALSE(can_wait(RecycleReason::request_timeout));
  CHECK_FALSE(can_wait(RecycleReason::keeper_lost));
  CHECK_FALSE(can_wait(RecycleReason::worker_asked));
}

TEST_CASE("a limit is too low when workers live less than five times as long as they start", "[supervisor]") {
  CHECK(is_limit_too_low(1s, 5s - 1ms));
  CHECK_FALSE(is_limit_too_low(1s, 5s));
  CHECK(is_limit_too_low(10ms, 0ms));
  CHECK_FALSE(is_limit_too_low(0ms, 0ms));
}

TEST_CASE("every reason has a word of its own", "[supervisor]") {
  for (const auto one : all_recycle_reasons) {
    CHECK_FALSE(text_of(one).empty());
    for (const auto other : all_recycle_reasons) CHECK((one == other) == (text_of(one) == text_of(other)));
  }
}
