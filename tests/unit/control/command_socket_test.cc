#include "server/control/command_socket.h"

#include "tests/support/catch.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <thread>

using namespace stint;
using namespace stint::control;
using Catch::Matchers::ContainsSubstring;

namespace {

struct Folder {
  std::filesystem::path path;
  Folder() {
    char name[] = "/tmp/stint-control-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string at(const std::string& name) const { return (path / name).string(); }
};

mode_t mode_of(const std::string& path) {
  struct stat status{};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 0777;
}

// Answers one request with `answer`, or closes without one when it is empty.
std::string serve_one(const CommandSocket& socket, const std::string& answer) {
  int fd = -1;
  while ((fd = ::accept4(socket.fd(), nullptr, nullptr, SOCK_CLOEXEC)) < 0) std::this_thread::yield();
  const UniqueFd connection(fd);
  if (!check_operator(fd)) return "refused";
  std::string request;
  char byte;
  while (::read(fd, &byte, 1) == 1 && byte != '\n') request += byte;
  if (!answer.empty() && ::write(fd, answer.data(), answer.size()) < 0) return "not written";
  return request;
}

}  // namespace

TEST_CASE("a question is answered over the control socket", "[control]") {
  const Folder folder;
  auto socket = CommandSocket::open(folder.at("made/control.sock"));
  REQUIRE(socket.has_value());
  CHECK(mode_of(folder.at("made")) == 0700);
  CHECK(mode_of(socket->path()) == 0600);
  CHECK(socket->notice().empty());

  std::string request;
  std::thread server([&] { request = serve_one(*socket, "{\"ok\":true}\n"); });
  auto answer = ask(socket->path(), "{\"command\":\"status\"}");
  server.join();
  REQUIRE(answer.has_value());
  CHECK(*answer == "{\"ok\":true}");
  CHECK(request == "{\"command\":\"status\"}");
}

TEST_CASE("an answer that is cut is no answer", "[control]") {
  const Folder folder;
  auto socket = CommandSocket::open(folder.at("control.sock"));
  REQUIRE(socket.has_value());
  for (const char* cut : {"", "{\"ok\":"}) {
    std::thread server([&] { serve_one(*socket, cut); });
    auto answer = ask(socket->path(), "{}");
    server.join();
    REQUIRE_FALSE(answer.has_value());
    CHECK_THAT(answer.error().text(), ContainsSubstring("without an answer"));
  }
}

TEST_CASE("without a server the error says so", "[control]") {
  const Folder folder;
  auto answer = ask(folder.at("control.sock"), "{}");
  REQUIRE_FALSE(answer.has_value());
  CHECK_THAT(answer.error().text(), ContainsSubstring("no Stint server answers at " + folder.at("control.sock")));
}

TEST_CASE("the socket file goes with the server", "[control]") {
  const Folder folder;
  {
    auto socket = CommandSocket::open(folder.at("control.sock"));
    REQUIRE(socket.has_value());
  }
  CHECK(std::filesystem::is_empty(folder.path));
}

TEST_CASE("an explicit socket that answers already is an error", "[control]") {
  const Folder folder;
  auto first = CommandSocket::open(folder.at("control.sock"));
  REQUIRE(first.has_value());
  auto second = CommandSocket::open(folder.at("control.sock"));
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().code.value() == EADDRINUSE);
  CHECK_THAT(second.error().text(), ContainsSubstring(folder.at("control.sock")));
}

TEST_CASE("at the default place a second server takes a socket beside the first and says so", "[control]") {
  const Folder folder;
  auto first = CommandSocket::open_at_default(folder.at("control.sock"));
  REQUIRE(first.has_value());
  auto second = CommandSocket::open_at_default(folder.at("control.sock"));
  REQUIRE(second.has_value());
  CHECK(second->path() == folder.at("control-" + std::to_string(::getpid()) + ".sock"));
  CHECK_THAT(second->notice(), ContainsSubstring(second->path()));
}

TEST_CASE("a default folder that others can write to, or a link to one, is refused", "[control]") {
  const Folder folder;
  std::filesystem::create_directory(folder.path / "open");
  REQUIRE(::chmod(folder.at("open").c_str(), 0777) == 0);
  CHECK_FALSE(CommandSocket::open_at_default(folder.at("open/control.sock")).has_value());

  std::filesystem::create_directory(folder.path / "good");
  REQUIRE(::chmod(folder.at("good").c_str(), 0700) == 0);
  std::filesystem::create_directory_symlink(folder.path / "good", folder.path / "link");
  CHECK_FALSE(CommandSocket::open_at_default(folder.at("link/control.sock")).has_value());
  CHECK(CommandSocket::open_at_default(folder.at("good/control.sock")).has_value());
}
