// Stories of `stint trace`.
#include "tests/process/story.h"

#include <csignal>
#include <deque>
#include <filesystem>
#include <fstream>

namespace stint::test {
namespace {

using Catch::Matchers::ContainsSubstring;

// A request of a view that lasts until its story ends; running when this is made.
class Running {
 public:
  Running(const ServerProcess& server, const std::string& path, const std::string& name) : client_(server.address()) {
    const std::string runs = server.folder().file(name);
    client_.send("GET " + path + "touch=" + runs + " HTTP/1.1\r\nHost: a\r\n\r\n");
    REQUIRE(eventually([&] { return std::filesystem::exists(runs); }));
  }

 private:
  HttpClient client_;
};

TEST_CASE("trace shows the Python stack of each request that runs, whatever it is in (issue 7)", "[process]") {
  ServerOptions options = with_workers(2);
  options.words = {"--threads", "3"};
  ServerProcess server(options);
  server.wait_until_ready();
  CHECK_THAT(server.command({"trace"}).output, ContainsSubstring("worker 1  pid ") &&
                                                   ContainsSubstring("worker 2  pid ") &&
                                                   ContainsSubstring(": nothing runs\n"));
  const Running sleeps(server, "/slow?seconds=300&", "sleeps");
  const Running waits(server, "/until?file=nowhere&", "waits");
  const Running computes(server, "/interruptible?file=nowhere&", "computes");
  const CommandResult trace = server.command({"trace"});
  CHECK(trace.exit_code == 0);
  CHECK_THAT(trace.output, ContainsSubstring("GET /slow?seconds=300&touch=") && ContainsSubstring(" in slow\n") &&
                               ContainsSubstring(" in until\n") && ContainsSubstring(" in interruptible\n"));
  const CommandResult json = server.command({"trace", "1", "--json"});
  CHECK_THAT(json.output, ContainsSubstring("\"slot\":1,") && !ContainsSubstring("\"slot\":2,"));
  CHECK_THAT(server.command({"trace", "3"}).error, ContainsSubstring("no worker in slot 3 serves"));
  CHECK(fetch(server.address(), "/").status == 200);
  server.signal(SIGQUIT);  // views that do not end are not waited for
  CHECK(server.wait_for_exit(patience).has_value());
  server.expect_nothing_left();
}

TEST_CASE("trace knows who holds the GIL also where there has been a subinterpreter (issue 7)", "[process]") {
  ServerOptions options = with_workers(1);
  options.module = "subinterpreter:application";
  ServerProcess server(options);
  server.wait_until_ready();
  const Running sleeps(server, "/slow?seconds=300&", "sleeps");
  CHECK_THAT(server.command({"trace"}).output, ContainsSubstring("free"));
  server.signal(SIGQUIT);
  CHECK(server.wait_for_exit(patience).has_value());
}

TEST_CASE(
    "trace shows a call that holds the GIL, and says of a worker that is stopped that it does not answer (issue 7)",
    "[process]") {
  ServerOptions options = with_workers(2);
  ServerProcess server(options);
  server.wait_until_ready();
  HttpClient stuck(server.address());
  stuck.send("GET /stuck?seconds=300 HTTP/1.1\r\nHost: a\r\n\r\n");
  std::string output;
  CHECK(eventually([&] { return (output = server.command({"trace"}).output).find(" in stuck\n") != output.npos; }));
  CHECK_THAT(output, ContainsSubstring("the GIL is held by this call"));
  const auto workers = server.workers();
  const auto idle = workers.at(output.find("GET /stuck") > output.find("worker 2") ? 0 : 1);
  ::kill(idle.pid, SIGSTOP);
  const CommandResult trace = server.command({"trace"});
  ::kill(idle.pid, SIGCONT);
  CHECK_THAT(trace.output, ContainsSubstring("worker " + std::to_string(idle.slot) + "  pid ") &&
                               ContainsSubstring(": does not answer\n") && ContainsSubstring(" in stuck\n"));
  server.signal(SIGQUIT);  // views that do not end are not waited for
  CHECK(server.wait_for_exit(patience).has_value());
  server.expect_nothing_left();
}

}  // namespace
}  // namespace stint::test
