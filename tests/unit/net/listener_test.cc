#include "server/net/listener.h"

#include "tests/support/catch.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

using namespace stint;

namespace {

using Family = ListenAddress::Family;

// A folder of its own for socket files, removed at the end.
struct Folder {
  std::filesystem::path path;
  Folder() {
    char name[] = "/tmp/stint-net-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  ListenAddress socket(const std::string& name) const { return {Family::unix_path, "", 0, (path / name).string()}; }
};

const ListenAddress any_port{Family::ipv4, "127.0.0.1", 0, ""};

UniqueFd connect_to(const net::Listener& listener) {
  sockaddr_storage name{};
  socklen_t length = sizeof name;
  REQUIRE(::getsockname(listener.socket.get(), reinterpret_cast<sockaddr*>(&name), &length) == 0);
  UniqueFd client(::socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::connect(client.get(), reinterpret_cast<const sockaddr*>(&name), length) == 0);
  return client;
}

}  // namespace

TEST_CASE("port 0 becomes the port that the kernel chose", "[net]") {
  auto listener = net::open_listener(any_port);
  REQUIRE(listener.has_value());
  CHECK(listener->address.port != 0);
  CHECK(listener->address.host == "127.0.0.1");
}

TEST_CASE("a listener does not block, closes at exec and gives its sockets TCP_NODELAY", "[net]") {
  auto listener = net::open_listener(any_port);
  REQUIRE(listener.has_value());
  CHECK((::fcntl(listener->socket.get(), F_GETFL) & O_NONBLOCK) != 0);
  CHECK(::fcntl(listener->socket.get(), F_GETFD) == FD_CLOEXEC);

  const auto nobody = net::accept_connection(*listener);
  REQUIRE_FALSE(nobody.has_value());
  CHECK(nobody.error().code.value() == EAGAIN);

  const UniqueFd client = connect_to(*listener);
  auto accepted = net::accept_connection(*listener);
  REQUIRE(accepted.has_value());
  CHECK((::fcntl(accepted->socket.get(), F_GETFL) & O_NONBLOCK) != 0);
  CHECK(::fcntl(accepted->socket.get(), F_GETFD) == FD_CLOEXEC);
  int no_delay = 0;
  socklen_t length = sizeof no_delay;
  REQUIRE(::getsockopt(accepted->socket.get(), IPPROTO_TCP, TCP_NODELAY, &no_delay, &length) == 0);
  CHECK(no_delay == 1);
  CHECK(net::text_of(accepted->peer).host == "127.0.0.1");
  CHECK(net::text_of(accepted->peer).port == net::local_address_of(client.get()).port);
  CHECK(net::local_address_of(accepted->socket.get()).port == std::to_string(listener->address.port));
}

TEST_CASE("IPv6 listens where the machine has it", "[net]") {
  auto listener = net::open_listener({Family::ipv6, "::1", 0, ""});
  if (!listener) {
    WARN("no IPv6 here: " << listener.error().text());
    return;
  }
  const UniqueFd client = connect_to(*listener);
  auto accepted = net::accept_connection(*listener);
  REQUIRE(accepted.has_value());
  CHECK(net::text_of(accepted->peer).host == "::1");
  CHECK(listener->address.text() == "[::1]:" + std::to_string(listener->address.port));
}

TEST_CASE("all addresses of IPv4 and all of IPv6 have listeners of their own on the same port", "[net]") {
  for (int attempt = 0;; ++attempt) {
    auto v4 = net::open_listener({Family::ipv4, "0.0.0.0", 0, ""});
    REQUIRE(v4.has_value());
    auto v6 = net::open_listener({Family::ipv6, "::", v4->address.port, ""});
    if (v6.has_value()) {
      CHECK(v6->address.port == v4->address.port);
      return;
    }
    INFO(v6.error().text());
    if (v6.error().code.value() != EADDRINUSE) {
      WARN("no IPv6 here");
      return;
    }
    REQUIRE(attempt < 20);  // somebody else may have had that port for IPv6
  }
}

TEST_CASE("an IPv4 address that is written as one of IPv6 takes IPv4", "[net]") {
  auto listener = net::open_listener({Family::ipv6, "::ffff:127.0.0.1", 0, ""});
  if (!listener) {
    WARN("no IPv6 here: " << listener.error().text());
    return;
  }
  const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  name.sin_port = htons(listener->address.port);
  CHECK(::connect(client.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
}

TEST_CASE("a port in use is an error that says which", "[net]") {
  auto first = net::open_listener(any_port);
  REQUIRE(first.has_value());
  auto second = net::open_listener(first->address);
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().text() == "listen " + first->address.text() + ": Address already in use");
}

TEST_CASE("an address that is none is an error, not a look-up", "[net]") {
  auto listener = net::open_listener({Family::ipv4, "localhost", 0, ""});
  REQUIRE_FALSE(listener.has_value());
  CHECK_THAT(listener.error().text(), Catch::Matchers::ContainsSubstring("listen localhost:0"));
}

TEST_CASE("a unix socket file has mode 0660 and goes with its listener", "[net]") {
  const Folder folder;
  const auto address = folder.socket("s");
  const mode_t before = ::umask(0077);
  {
    auto listener = net::open_listener(address);
    ::umask(before);
    REQUIRE(listener.has_value());
    struct stat file{};
    REQUIRE(::stat(address.path.c_str(), &file) == 0);
    CHECK((file.st_mode & 0777) == 0660);

    const UniqueFd client = connect_to(*listener);
    auto accepted = net::accept_connection(*listener);
    REQUIRE(accepted.has_value());
    CHECK(net::text_of(accepted->peer).host.empty());
    CHECK(net::text_of(accepted->peer).port.empty());
  }
  CHECK_FALSE(std::filesystem::exists(address.path));
}

TEST_CASE("a unix socket that answers is in use, and stays", "[net]") {
  const Folder folder;
  const auto address = folder.socket("s");
  auto first = net::open_listener(address);
  REQUIRE(first.has_value());
  auto second = net::open_listener(address);
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().code.value() == EADDRINUSE);
  const UniqueFd client = connect_to(*first);
}

TEST_CASE("a unix socket file that a dead server left is replaced", "[net]") {
  const Folder folder;
  const auto address = folder.socket("s");
  {
    const UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    const auto name = net::unix_address(address.path);
    REQUIRE(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&*name), sizeof *name) == 0);
  }
  REQUIRE(std::filesystem::exists(address.path));
  auto listener = net::open_listener(address);
  REQUIRE(listener.has_value());
  const UniqueFd client = connect_to(*listener);
}

TEST_CASE("a unix socket can be given to a group, and to nobody else", "[net]") {
  const Folder folder;
  const auto address = folder.socket("s");
  const gid_t group = ::geteuid() == 0 ? 12345 : ::getegid();
  const mode_t before = ::umask(0177);
  auto listener = net::open_listener(address, group);
  ::umask(before);
  REQUIRE(listener.has_value());
  struct stat status{};
  REQUIRE(::stat(address.path.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0660);
  CHECK(status.st_uid == ::geteuid());
  CHECK(status.st_gid == group);
}

TEST_CASE("a file that is no socket is left alone", "[net]") {
  const Folder folder;
  const auto address = folder.socket("s");
  std::ofstream(address.path) << "precious";
  auto listener = net::open_listener(address);
  REQUIRE_FALSE(listener.has_value());
  CHECK(listener.error().code.value() == EEXIST);
  CHECK(std::filesystem::file_size(address.path) == 8);
}

TEST_CASE("a listener does not remove the socket file of its successor", "[net]") {
  const Folder folder;
  const auto address = folder.socket("s");
  std::optional<net::Listener> first;
  {
    auto opened = net::open_listener(address);
    REQUIRE(opened.has_value());
    first.emplace(std::move(*opened));
  }
  std::filesystem::remove(address.path);
  auto second = net::open_listener(address);
  REQUIRE(second.has_value());
  first.reset();
  CHECK(std::filesystem::exists(address.path));
}

TEST_CASE("a path longer than a socket's address can be is an error", "[net]") {
  auto listener = net::open_listener({Family::unix_path, "", 0, "/tmp/" + std::string(120, 'a')});
  REQUIRE_FALSE(listener.has_value());
  CHECK(listener.error().code.value() == ENAMETOOLONG);
}

TEST_CASE("an inherited listener knows its address again", "[net]") {
  const Folder folder;
  for (const auto& address : {any_port, folder.socket("s")}) {
    auto opened = net::open_listener(address);
    REQUIRE(opened.has_value());
    auto adopted = net::adopt_listener(UniqueFd(::dup(opened->socket.get())));
    REQUIRE(adopted.has_value());
    CHECK(adopted->address == opened->address);
    CHECK(::fcntl(adopted->socket.get(), F_GETFD) == FD_CLOEXEC);
  }
}

TEST_CASE("what does not listen is no inherited listener", "[net]") {
  CHECK_FALSE(net::adopt_listener(UniqueFd(::socket(AF_INET, SOCK_STREAM, 0))).has_value());
  CHECK_FALSE(net::adopt_listener(UniqueFd(::open("/dev/null", O_RDONLY))).has_value());

  UniqueFd packets(::socket(AF_UNIX, SOCK_SEQPACKET, 0));
  sockaddr_un nameless{.sun_family = AF_UNIX, .sun_path = {}};
  REQUIRE(::bind(packets.get(), reinterpret_cast<const sockaddr*>(&nameless), sizeof nameless.sun_family) == 0);
  REQUIRE(::listen(packets.get(), 1) == 0);
  CHECK_FALSE(net::adopt_listener(std::move(packets)).has_value());
}

TEST_CASE("an inherited abstract socket is told with an @", "[net]") {
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM, 0));
  const std::string name = "stint-net-" + std::to_string(::getpid());
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
  REQUIRE(::listen(socket.get(), 1) == 0);
  const auto listener = net::adopt_listener(std::move(socket));
  REQUIRE(listener.has_value());
  CHECK(listener->address.text() == "unix:@" + name);
}

TEST_CASE("an IPv4 address in IPv6 clothes is told as IPv4", "[net]") {
  sockaddr_storage storage{};
  auto& address = reinterpret_cast<sockaddr_in6&>(storage);
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(8000);
  REQUIRE(::inet_pton(AF_INET6, "::ffff:192.0.2.7", &address.sin6_addr) == 1);
  CHECK(net::text_of(storage).host == "192.0.2.7");
  CHECK(net::text_of(storage).port == "8000");
}
