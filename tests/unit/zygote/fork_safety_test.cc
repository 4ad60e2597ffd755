#include "server/zygote/fork_safety.h"

#include "tests/support/catch.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>

using namespace stint;
using namespace stint::zygote;
using Catch::Matchers::ContainsSubstring;

namespace {

// Runs until the test is over.
class RunningThread {
 public:
  explicit RunningThread(const char* name)
      : thread_([this, name] {
          ::prctl(PR_SET_NAME, name);
          std::unique_lock lock(mutex_);
          id = static_cast<pid_t>(::syscall(SYS_gettid));
          changed_.notify_all();
          changed_.wait(lock, [this] { return is_over_; });
        }) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return id != 0; });
  }
  ~RunningThread() {
    {
      const std::lock_guard lock(mutex_);
      is_over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  pid_t id = 0;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_over_ = false;
  std::thread thread_;  // last: it uses the others
};

std::vector<std::string> obstacles(const std::vector<NamedThread>& python = {}, const std::vector<int>& own = {}) {
  auto found = obstacles_to_forking(python, own);
  REQUIRE(found.has_value());
  return *found;
}

// Those that were not there before: a test runner may have been left connected descriptors.
std::vector<std::string> without(const std::vector<std::string>& before, std::vector<std::string> found) {
  std::erase_if(found, [&](const auto& one) { return std::find(before.begin(), before.end(), one) != before.end(); });
  return found;
}

struct Connection {
  UniqueFd client, server;
};
Connection connected_over_tcp() {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
  REQUIRE(::listen(listener.get(), 1) == 0);
  REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0);
  UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
  return {std::move(client), UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC))};
}

}  // namespace

TEST_CASE("threads are told by Python's name, or else by the kernel's", "[zygote]") {
  const auto before = obstacles();
  const RunningThread known("pool-1"), unknown("grpc-poller");
  const auto found = without(before, obstacles({{known.id, "metrics-flusher"}}));
  REQUIRE(found.size() == 2);
  CHECK(found[0] == "thread 'metrics-flusher' runs");
  CHECK(found[1] == "thread 'grpc-poller', which Python does not know, runs");
}

TEST_CASE("a connection is told with whom it is, and a socket without a peer is none", "[zygote]") {
  const auto before = obstacles();
  const auto connection = connected_over_tcp();
  const UniqueFd unconnected(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto found = without(before, obstacles({}, {connection.server.get()}));
  REQUIRE(found.size() == 1);
  CHECK_THAT(found[0], ContainsSubstring("descriptor " + std::to_string(connection.client.get()) +
                                         " is a connection to 127.0.0.1:"));
}

TEST_CASE("an open SQLite database is an obstacle, another file is none", "[zygote]") {
  const auto before = obstacles();
  std::array<char, 32> name{"/tmp/stint-sqlite-XXXXXX"};
  const UniqueFd file(::mkostemp(name.data(), O_CLOEXEC));
  ::unlink(name.data());
  CHECK(without(before, obstacles()).empty());
  REQUIRE(::write(file.get(), "SQLite format 3\0and more", 24) == 24);
  const auto found = without(before, obstacles());
  REQUIRE(found.size() == 1);
  CHECK_THAT(found[0], ContainsSubstring(" is the open database /tmp/stint-sqlite-"));
}
