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
    const WorkerReport report{.requests = row.requests, .private_memory = row.memory};
    CHECK(reason_to_recycle(report, row.age, row.settings) == row.reason);
  }
}

TEST_CASE("every reason has a word of its own", "[supervisor]") {
  for (const auto one : all_recycle_reasons) {
    CHECK_FALSE(text_of(one).empty());
    for (const auto other : all_recycle_reasons) CHECK((one == other) == (text_of(one) == text_of(other)));
  }
}
