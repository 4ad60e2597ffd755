#include "server/supervisor/process_use.h"

#include "tests/support/catch.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

using namespace stint;
using namespace stint::supervisor;

TEST_CASE("memory and threads are read from what the kernel says of a process", "[supervisor]") {
  const auto use =
      parse_process_status("Name:\tRssAnon:\nVmRSS:\t 9000 kB\nRssAnon:\t    1234 kB\nThreads:\t7\nX: 1\n");
  REQUIRE(use.has_value());
  CHECK(use->private_memory == Bytes{1234 * 1024});
  CHECK(use->threads == 7);
  CHECK_FALSE(parse_process_status("Name:\tzombie\nThreads:\t1\n").has_value());
  CHECK_FALSE(parse_process_status("").has_value());
  CHECK_FALSE(parse_process_status("x\nRssAnon:\nThreads:").has_value());
}

TEST_CASE("a living process is seen, one that has ended is not", "[supervisor]") {
  const auto own = process_use_of(::getpid());
  REQUIRE(own.has_value());
  CHECK(own->private_memory.count > 0);
  CHECK(own->threads >= 1);
  const auto written = own_memory_of(::getpid());
  REQUIRE(written.has_value());
  CHECK(written->count > 0);
  CHECK_FALSE(own_memory_of(-1).has_value());
  const auto before = open_descriptors_of(::getpid());
  const int one_more = ::open("/dev/null", O_RDONLY);
  const auto after = open_descriptors_of(::getpid());
  ::close(one_more);
  REQUIRE(before.has_value());
  CHECK(after == *before + 1);

  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) == 0);
  CHECK_FALSE(process_use_of(child).has_value());
  ::waitpid(child, nullptr, 0);
}
