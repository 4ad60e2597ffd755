#include "server/net/inherited_sockets.h"

#include "tests/support/catch.h"

#include <unistd.h>

using namespace stint;
using net::ListenVariables;
using net::names_of_passed_sockets;

namespace {

using Names = std::vector<std::string>;
constexpr pid_t own = 4121;

Names names(const ListenVariables& variables) {
  auto names = names_of_passed_sockets(variables, own);
  REQUIRE(names.has_value());
  return *names;
}

std::string problem(const ListenVariables& variables) {
  const auto names = names_of_passed_sockets(variables, own);
  REQUIRE_FALSE(names.has_value());
  return names.error().text();
}

}  // namespace

TEST_CASE("each inherited socket has its name", "[net]") {
  CHECK(names({"4121", "2", "web:admin"}) == Names{"web", "admin"});
  CHECK(names({"4121", "3", "web:web:"}) == Names{"web", "web", ""});
  CHECK(names({"4121", "1", "stint.socket"}) == Names{"stint.socket"});
  CHECK(names({"4121", "2", std::nullopt}) == Names{"unknown", "unknown"});
}

TEST_CASE("no sockets are inherited without variables, or with those of another process", "[net]") {
  CHECK(names({std::nullopt, std::nullopt, std::nullopt}).empty());
  CHECK(names({"4121", std::nullopt, "web"}).empty());
  CHECK(names({std::nullopt, "1", "web"}).empty());
  CHECK(names({"4122", "1", "web"}).empty());
  CHECK(names({"41210", "1", "web"}).empty());
  CHECK(names({"", "1", "web"}).empty());
  CHECK(names({"4121", "0", ""}).empty());
  CHECK(names({"4122", "nonsense", "web"}).empty());  // not ours to judge
}

TEST_CASE("variables that contradict each other are an error that says which", "[net]") {
  CHECK(problem({"4121", "two", "a:b"}) == "the environment's LISTEN_FDS is 'two', which is no number of sockets");
  CHECK(problem({"4121", "-1", "a"}) == "the environment's LISTEN_FDS is '-1', which is no number of sockets");
  CHECK(problem({"4121", "4294967295", "a"}) ==
        "the environment's LISTEN_FDS is '4294967295', which is no number of sockets");
  CHECK(problem({"4121", "2", "web"}) ==
        "the environment's LISTEN_FDNAMES has 1 names for the 2 sockets of LISTEN_FDS");
  CHECK(problem({"4121", "1", "web:admin"}) ==
        "the environment's LISTEN_FDNAMES has 2 names for the 1 sockets of LISTEN_FDS");
}

TEST_CASE("without inherited sockets a listener that wants some is told where they come from", "[net]") {
  ::unsetenv("LISTEN_FDS");
  ::unsetenv("LISTEN_PID");
  auto inherited = net::InheritedSockets::take_from_environment();
  REQUIRE(inherited.has_value());
  const auto any = inherited->take("");
  REQUIRE_FALSE(any.has_value());
  CHECK(any.error().text() == "listen systemd: no sockets were inherited (a systemd .socket unit passes some)");
  const auto named = inherited->take("web");
  REQUIRE_FALSE(named.has_value());
  CHECK(named.error().text() == "listen systemd:web: no sockets were inherited (a systemd .socket unit passes some)");
}

TEST_CASE("variables of another process are removed, and named where sockets are missed", "[net]") {
  ::setenv("LISTEN_PID", "1", 1);
  ::setenv("LISTEN_FDS", "1", 1);
  ::setenv("LISTEN_FDNAMES", "web", 1);
  auto inherited = net::InheritedSockets::take_from_environment();
  REQUIRE(inherited.has_value());
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) CHECK(::getenv(name) == nullptr);
  const auto web = inherited->take("web");
  REQUIRE_FALSE(web.has_value());
  CHECK(web.error().text() ==
        "listen systemd:web: no sockets were inherited (LISTEN_PID says they are for process 1, "
        "and this is " +
            std::to_string(::getpid()) + ")");
}
