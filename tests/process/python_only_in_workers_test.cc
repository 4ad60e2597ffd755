#include "tests/process/story.h"

#include <signal.h>

namespace stint::test {
namespace {

TEST_CASE("libpython is mapped into the worker and never into the supervisor", "[process]") {
  ServerProcess server({});
  server.wait_until_ready();
  CHECK(fetch(server.address(), "/").status == 200);

  const pid_t worker = server.ready_workers().at(0);
  CHECK(maps_of(worker).find("libpython") != std::string::npos);
  CHECK(maps_of(server.pid()).find("libpython") == std::string::npos);

  // Nor after it has seen workers come and go.
  server.signal(SIGHUP);
  CHECK(eventually([&] {
    const auto ready = server.ready_workers();
    return ready.size() == 1 && ready[0] != worker;
  }));
  CHECK(maps_of(server.pid()).find("libpython") == std::string::npos);
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
