#include "tests/process/story.h"

#include <signal.h>

namespace stint::test {
namespace {

TEST_CASE("workers whose supervisor was killed complete what runs and end", "[process]") {
  ServerProcess server(with_workers(2));
  server.wait_until_ready();
  HttpClient client(server.address());
  const std::string running = server.folder().file("running");
  client.send("GET /slow?seconds=1&touch=" + running + " HTTP/1.1\r\nHost: a\r\n\r\n");
  REQUIRE(eventually([&] { return std::filesystem::exists(running); }));

  server.signal(SIGKILL);
  CHECK(server.wait_for_exit(patience) == 128 + SIGKILL);
  const HttpResponse response = client.receive();
  CHECK(response.status == 200);
  CHECK(response.announces_close());
  CHECK(eventually([&] { return server.processes().empty(); }));
}

}  // namespace
}  // namespace stint::test
