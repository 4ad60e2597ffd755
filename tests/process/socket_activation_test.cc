// Stories of sockets that a service manager opened: the test is the manager, and once systemd's own stand-in for one.
#include "tests/process/story.h"
#include "tests/support/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

namespace stint::test {
namespace {

// A listening socket as a .socket unit has one: it blocks, and lives on when the server goes.
struct ManagersSocket {
  explicit ManagersSocket(std::string at) : address(std::move(at)) {
    SocketAddress name = parse_address(address);
    socket = make_socket(name, 0);
    REQUIRE(bind(socket.get(), reinterpret_cast<const sockaddr*>(&name.storage), name.size) == 0);
    REQUIRE(listen(socket.get(), 100) == 0);
    if (name.storage.ss_family != AF_INET) return;
    REQUIRE(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&name.storage), &name.size) == 0);
    address = "127.0.0.1:" + std::to_string(ntohs(reinterpret_cast<const sockaddr_in&>(name.storage).sin_port));
  }
  std::string address;
  UniqueFd socket;
};

std::vector<std::string> listen_of(const ServerProcess& server) {
  std::vector<std::string> addresses;
  const boost::json::object status = server.status();
  for (const auto& address : status.at("listen").as_array()) addresses.emplace_back(address.as_string());
  return addresses;
}

std::string failure_of(std::vector<std::string> listen, std::vector<PassedSocket> sockets) {
  ServerOptions options;
  options.listen = std::move(listen);
  options.sockets = std::move(sockets);
  ServerProcess server(options);
  CHECK(server.wait_for_exit(patience) == 1);
  server.expect_nothing_left();
  return server.log();
}

TEST_CASE("inherited sockets are served by their names, beside an address of the server's own", "[process]") {
  auto folder = std::make_unique<TemporaryFolder>();
  const ManagersSocket web("127.0.0.1:0"), admin("unix:" + folder->file("admin.sock"));
  ServerOptions options;
  options.listen = {"systemd:web", "127.0.0.1:0", "systemd:admin"};
  options.sockets = {{"admin", admin.socket.get()}, {"web", web.socket.get()}};
  ServerProcess server(options, std::move(folder));
  server.wait_until_ready();

  CHECK(listen_of(server) == std::vector{web.address, server.address(1), admin.address});
  for (const std::string& address : listen_of(server)) CHECK(fetch(address, "/").status == 200);
  server.expect_clean_exit();
  CHECK(std::filesystem::exists(admin.address.substr(5)));
}

TEST_CASE("'systemd' takes all inherited sockets, and workers hear nothing of them", "[process]") {
  const ManagersSocket one("127.0.0.1:0"), two("127.0.0.1:0"), three("127.0.0.1:0");
  ServerOptions options;
  options.listen = {"systemd"};
  options.sockets = {{"a", one.socket.get()}, {"b", two.socket.get()}, {"a", three.socket.get()}};
  ServerProcess server(options);
  server.wait_until_ready();

  CHECK(listen_of(server) == std::vector{one.address, two.address, three.address});
  for (const std::string& address : listen_of(server)) CHECK(fetch(address, "/").status == 200);
  const auto variables = boost::json::parse(fetch(one.address, "/variables").body).as_object();
  CHECK(variables.contains("PATH"));
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) CHECK_FALSE(variables.contains(name));
  server.expect_clean_exit();
}

TEST_CASE("who connects while the server restarts waits in the inherited socket and is answered", "[process]") {
  const ManagersSocket web("127.0.0.1:0");
  ServerOptions options = with_workers(2);
  options.listen = {"systemd"};
  options.sockets = {{"web", web.socket.get()}};
  {
    ServerProcess first(options);
    first.wait_until_ready();
    CHECK(fetch(web.address, "/").status == 200);
    first.expect_clean_exit();
  }
  HttpClient early(web.address);
  early.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");

  ServerProcess second(options);
  CHECK(early.receive().status == 200);
  second.wait_until_ready();
  second.expect_clean_exit();
}

TEST_CASE("a reload keeps inherited sockets, and does without them, but cannot get others", "[process]") {
  const ManagersSocket web("127.0.0.1:0"), more("127.0.0.1:0");
  const auto settings = [](const std::string& listen) {
    return "listen = " + listen + "\n[reload]\nsettle = \"0s\"\n";
  };
  ServerOptions options;
  options.listen = {};
  options.toml = settings(R"(["systemd:web", "systemd:more"])");
  options.sockets = {{"web", web.socket.get()}, {"more", more.socket.get()}, {"more", more.socket.get()}};
  ServerProcess server(options);
  server.wait_until_ready();
  CHECK(listen_of(server) == std::vector{web.address, more.address, more.address});

  server.folder().write("stint.toml", settings(R"(["127.0.0.1:0", "systemd:web"])"));
  CHECK(server.command({"reload", "--wait"}).exit_code == 0);
  const auto listen = listen_of(server);
  REQUIRE(listen.size() == 2);
  CHECK(listen[1] == web.address);
  for (const std::string& address : listen) CHECK(fetch(address, "/").status == 200);

  server.folder().write("stint.toml", settings(R"(["systemd:web", "systemd:more"])"));
  const CommandResult refused = server.command({"reload", "--wait"});
  CHECK(refused.exit_code == 1);
  INFO(refused.output << refused.error);
  CHECK((refused.output + refused.error).find("sockets are inherited at the start only") != std::string::npos);
  CHECK(listen_of(server) == listen);
  CHECK(fetch(web.address, "/").status == 200);
  server.expect_clean_exit();
}

TEST_CASE("an upgrade keeps inherited sockets and reloads with them", "[process][upgrade]") {
  const ManagersSocket web("127.0.0.1:0"), more("127.0.0.1:0");
  ServerOptions options;
  options.listen = {"systemd:more", "systemd:web"};
  options.sockets = {{"web", web.socket.get()}, {"more", more.socket.get()}, {"more", more.socket.get()}};
  ServerProcess server(options);
  server.wait_until_ready();
  const auto listen = listen_of(server);
  for (int i = 0; i < 2; ++i) {
    CHECK(server.command({"upgrade", "--wait"}).exit_code == 0);
    CHECK(listen_of(server) == listen);
    for (const std::string& address : listen) CHECK(fetch(address, "/").status == 200);
    CHECK(server.command({"reload", "--wait"}).exit_code == 0);
    CHECK(listen_of(server) == listen);
  }
  server.expect_clean_exit();
}

TEST_CASE("an inherited socket that no listener names is closed, with a warning", "[process]") {
  const ManagersSocket web("127.0.0.1:0"), other("127.0.0.1:0");
  ServerOptions options;
  options.listen = {"systemd:web"};
  options.sockets = {{"web", web.socket.get()}, {"other", other.socket.get()}};
  ServerProcess server(options);
  server.wait_until_ready();
  CHECK(server.log_count("inherited sockets that no listener names") == 1);
  CHECK(server.log_count("names=other") == 1);
  server.expect_clean_exit();
}

TEST_CASE("a start without the sockets it wants fails and says what there is", "[process]") {
  const auto contains = [](const std::string& log, const std::string& text) {
    INFO(log);
    CHECK(log.find(text) != std::string::npos);
  };
  const ManagersSocket web("127.0.0.1:0");
  contains(failure_of({"systemd"}, {}),
           "stint: listen systemd: no sockets were inherited (a systemd .socket unit passes some)\n");
  contains(failure_of({"systemd:web"}, {{"site", web.socket.get()}, {"admin", web.socket.get()}}),
           "stint: listen systemd:web: no inherited socket has this name; there are: site, admin\n");
  const UniqueFd connected = make_socket(parse_address(web.address), 0);
  contains(failure_of({"systemd"}, {{"web", connected.get()}}),
           "stint: listen systemd: use inherited descriptor 3 as a listener: it does not listen\n");
}

TEST_CASE("systemd's own tool passes its sockets", "[process]") {
  const std::string tool = "/usr/bin/systemd-socket-activate";
  if (!std::filesystem::exists(tool)) {
    WARN("skipped: " << tool << " is not there (package systemd)");
    return;
  }
  auto folder = std::make_unique<TemporaryFolder>();
  const std::string web = "unix:" + folder->file("web.sock"), admin = "unix:" + folder->file("admin.sock");
  ServerOptions options;
  options.wrapper = {tool, "--listen=" + web.substr(5), "--listen=" + admin.substr(5), "--fdname=web:admin"};
  options.listen = {"systemd:admin", "systemd:web"};
  ServerProcess server(options, std::move(folder));
  // It starts the server, in its own place, for the first who connects.
  REQUIRE(eventually([&] { return std::filesystem::exists(admin.substr(5)); }));
  HttpClient first(web);
  CHECK(first.get("/").status == 200);
  server.wait_until_ready();

  CHECK(listen_of(server) == std::vector{admin, web});
  CHECK(fetch(admin, "/").status == 200);
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
