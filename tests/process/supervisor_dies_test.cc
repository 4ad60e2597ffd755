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

// Of a second each, and what comes on top of it: 5 s for a start, 15 s for an end.
TEST_CASE("without a supervisor the kernel ends what the application holds up", "[process]") {
  ServerOptions options = with_workers(1);
  SECTION("its import, in a worker or a zygote") {
    options.set = {{"app.workers.startup_timeout", "\"1s\""},
                   {"app.workers.start", GENERATE("\"fresh\"", "\"fork\"")},
                   {"app.env", "{ HOLD = \"/\" }"}};
    options.module = "held_start:application";
    ServerProcess server(options);
    REQUIRE(eventually([&] { return server.processes().size() > 1; }));
    server.signal(SIGKILL);
    CHECK(server.wait_for_exit(patience) == 128 + SIGKILL);
    CHECK(eventually([&] { return server.processes().empty(); }));
  }
  SECTION("its hooks in a worker that is forked") {
    auto folder = std::make_unique<TemporaryFolder>();
    options.set = {{"app.workers.startup_timeout", "\"5s\""},
                   {"app.workers.start", "\"fork\""},
                   {"app.env", "{ HOLD = \"/no\", HOLD_FORK = \"" + folder->file("forked") + "\" }"}};
    options.module = "held_start:application";
    ServerProcess server(options, std::move(folder));
    REQUIRE(eventually([&] { return std::filesystem::exists(server.folder().file("forked")); }));
    server.signal(SIGKILL);
    CHECK(server.wait_for_exit(patience) == 128 + SIGKILL);
    CHECK(eventually([&] { return server.processes().empty(); }));
  }
  SECTION("its exit handlers") {
    options.set = {{"app.recycle.drain_timeout", "\"1s\""}};
    ServerProcess server(options);
    server.wait_until_ready();
    CHECK(HttpClient(server.address()).get("/never-end").status == 200);
    server.signal(SIGKILL);
    CHECK(server.wait_for_exit(patience) == 128 + SIGKILL);
    CHECK(eventually(2 * patience, [&] { return server.processes().empty(); }));
  }
}

}  // namespace
}  // namespace stint::test
