#include "server/supervisor/oom_kills.h"

#include "server/supervisor/kernel_text.h"

#include "tests/support/catch.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace stint;
using namespace stint::supervisor;
using namespace std::chrono_literals;

namespace {

struct Events {
  char path[32] = "/tmp/stint-events-XXXXXX";
  Events() { ::close(::mkstemp(path)); }
  ~Events() { std::filesystem::remove(path); }
  void count(int oom_kills) const {
    std::ofstream(path) << "low 0\nhigh 3\nmax 5\noom 5\noom_kill " << oom_kills << "\noom_group_kill 0\n";
  }
};

}  // namespace

TEST_CASE("the kernel's count and our cgroup are found among other lines", "[supervisor]") {
  CHECK(parse_oom_kills("oom 7\noom_kill 12\noom_group_kill 3\n") == 12);
  CHECK_FALSE(parse_oom_kills("oom 7\noom_kill x\n").has_value());
  CHECK_FALSE(parse_oom_kills("").has_value());
  CHECK(parse_own_cgroup("1:name=systemd:/x\n0::/system.slice/stint.service\n") == "/system.slice/stint.service");
  CHECK(parse_own_cgroup("4:memory:/x\n").empty());
}

TEST_CASE("one victim of the OOM killer explains one death", "[supervisor]") {
  const Events events;
  events.count(4);
  OomKills kills(events.path);
  const TimePoint now(1000s);
  CHECK_FALSE(kills.explain_a_death(now));
  events.count(6);
  CHECK(kills.explain_a_death(now));
  CHECK(kills.explain_a_death(now + 100ms));
  CHECK_FALSE(kills.explain_a_death(now + 200ms));
}

TEST_CASE("a victim of which no death was found is forgotten", "[supervisor]") {
  const Events events;
  events.count(0);
  OomKills kills(events.path);
  events.count(2);
  CHECK(kills.explain_a_death(TimePoint(1000s)));
  CHECK_FALSE(kills.explain_a_death(TimePoint(1002s)));
}

TEST_CASE("where nothing is counted no death is explained", "[supervisor]") {
  OomKills kills("/nonexistent");
  CHECK_FALSE(kills.explain_a_death(TimePoint(1000s)));
  CHECK(std::filesystem::exists(OomKills::own_file()));
}
