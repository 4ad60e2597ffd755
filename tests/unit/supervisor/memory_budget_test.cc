#include "server/supervisor/memory_budget.h"

#include "server/supervisor/kernel_text.h"

#include "tests/support/catch.h"

#include <limits>

using namespace stint;
using namespace stint::supervisor;

TEST_CASE("as many workers fit as the budget has room for, and the machine", "[supervisor]") {
  MemoryView view{.budget = 200_MiB, .used = 120_MiB, .available = std::nullopt, .per_worker = 30_MiB};
  CHECK(workers_that_fit(view) == 2);
  view.available = 1_GiB;
  CHECK(workers_that_fit(view) == 2);
  view.available = 59_MiB;
  CHECK(workers_that_fit(view) == 1);
  view.used = 300_MiB;
  CHECK(workers_that_fit(view) == 0);
  view.budget = {};
  view.available = 90_MiB;
  CHECK(workers_that_fit(view) == 3);
}

TEST_CASE("over budget is more than it, or next to nothing left where there is none", "[supervisor]") {
  MemoryView view{.budget = 200_MiB, .used = 200_MiB, .available = Bytes{}, .per_worker = 40_MiB};
  CHECK_FALSE(is_over_budget(view));
  ++view.used.count;
  CHECK(is_over_budget(view));
  view.budget = {};
  view.available = 10_MiB;
  CHECK_FALSE(is_over_budget(view));
  view.available = 9_MiB;
  CHECK(is_over_budget(view));
  view.available.reset();
  CHECK_FALSE(is_over_budget(view));
}

TEST_CASE("what is not known forbids nothing", "[supervisor]") {
  constexpr unsigned any = std::numeric_limits<unsigned>::max();
  CHECK(workers_that_fit({.budget = {}, .used = 1_GiB, .available = std::nullopt, .per_worker = 1_GiB}) == any);
  CHECK(workers_that_fit({.budget = 1_MiB, .used = {}, .available = 1_MiB, .per_worker = {}}) == any);
}

TEST_CASE("a control group has what is below its limit, and file cache that can be dropped", "[supervisor]") {
  const std::string_view stat = "anon 500\nfile 300\ninactive_file 200\nactive_file 50\n";
  CHECK(group_has_left("1000\n", "800\n", stat) == Bytes{450});
  CHECK(group_has_left("1000\n", "1000\n", "") == Bytes{0});
  CHECK(group_has_left("1000\n", "2000\n", "") == Bytes{0});
  CHECK_FALSE(group_has_left("max\n", "800\n", stat).has_value());
  CHECK_FALSE(group_has_left("", "", "").has_value());
}

TEST_CASE("this machine has some memory left", "[supervisor]") {
  const auto available = available_memory();
  REQUIRE(available.has_value());
  CHECK(*available > Bytes{});
}

TEST_CASE("numbers are found behind the beginning of a line", "[supervisor]") {
  CHECK(number_behind("MemFree: 1 kB\nMemAvailable:   1234 kB\n", "MemAvailable:") == 1234);
  CHECK_FALSE(number_behind("SwapMemAvailable: 1\n", "MemAvailable:").has_value());
  CHECK_FALSE(number_behind("MemAvailable: none\n", "MemAvailable:").has_value());
}
