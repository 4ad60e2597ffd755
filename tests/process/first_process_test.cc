// Stories of a container: the server is the first process of a pid namespace, which nobody's default signal actions
// reach and to which every process goes whose parent has ended.
#include "tests/process/story.h"

#include <signal.h>
#include <unistd.h>

namespace stint::test {
namespace {

// A namespace of processes that ends with unshare(1), and a /proc of its own.
std::vector<std::string> container() {
  std::vector<std::string> words{"/usr/bin/unshare", "--pid", "--fork", "--kill-child", "--mount-proc"};
  if (geteuid() != 0) words.insert(words.end(), {"--user", "--map-root-user"});
  return words;
}

bool has_containers() {
  std::vector<std::string> words = container();
  words.emplace_back("/bin/true");
  if (run(words).exit_code == 0) return true;
  WARN("skipped: unshare(1) may not make a pid namespace here");
  return false;
}

TEST_CASE("as the first process of a container the server reaps orphans, and TERM ends it with 0", "[process]") {
  if (!has_containers()) return;
  ServerOptions options = with_workers(2);
  options.wrapper = container();
  ServerProcess server(options);
  server.wait_until_serving();
  const auto children_of_unshare = children_of(server.pid());
  REQUIRE(children_of_unshare.size() == 1);
  const pid_t supervisor = children_of_unshare[0];
  CHECK(memory_kib(supervisor, "VmRSS") > 0);
  const std::size_t own = children_of(supervisor).size();  // workers and keepers

  const std::string until = server.folder().file("until");
  CHECK(fetch(server.address(), "/orphan?n=5&until=" + until).status == 200);
  CHECK(eventually([&] { return children_of(supervisor).size() == own + 5; }));
  server.folder().write("until", "now");
  CHECK(eventually([&] { return children_of(supervisor).size() == own; }));
  CHECK(eventually([&] { return zombies_of(supervisor) == 0; }));
  CHECK(fetch(server.address(), "/").status == 200);

  // One that stays does not hold the container's end up.
  CHECK(fetch(server.address(), "/orphan?n=1&until=/nowhere/at/all").status == 200);
  CHECK(eventually([&] { return children_of(supervisor).size() == own + 1; }));
  REQUIRE(kill(supervisor, SIGTERM) == 0);
  CHECK(server.wait_for_exit(patience) == 0);  // unshare(1) ends as its child did
  server.expect_clean_exit();
}

TEST_CASE("the first process of a container ends at once at QUIT, and workers that die are replaced", "[process]") {
  if (!has_containers()) return;
  ServerOptions options;
  options.wrapper = container();
  ServerProcess server(options);
  server.wait_until_serving();
  const pid_t supervisor = children_of(server.pid()).at(0);

  // By POST: a GET that a worker died of is tried once more, and ends another one.
  HttpClient(server.address()).send("POST /crash HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  CHECK(eventually([&] { return server.log_count("worker died") == 1 && server.log_count("worker ready") == 2; }));
  CHECK(eventually([&] { return zombies_of(supervisor) == 0; }));  // the keeper of the one that died among them
  CHECK(fetch(server.address(), "/").status == 200);

  REQUIRE(kill(supervisor, SIGQUIT) == 0);
  CHECK(server.wait_for_exit(patience).has_value());
  server.expect_nothing_left();
}

}  // namespace
}  // namespace stint::test
