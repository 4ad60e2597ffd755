// Stories of the service manager: the test is one, with a notify socket as systemd has it.
#include "tests/process/story.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <cstring>

namespace stint::test {
namespace {

struct Notice {
  std::string text;
  pid_t sender = 0;  // as the kernel says, which is what a manager goes by
};

class NotifySocket {
 public:
  NotifySocket() : path_(folder_.file("notify")), socket_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    REQUIRE(path_.size() < sizeof address.sun_path);
    std::memcpy(address.sun_path, path_.c_str(), path_.size());
    const int on = 1;
    REQUIRE(setsockopt(socket_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
    REQUIRE(bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }

  const std::string& path() const { return path_; }

  // Everything that came so far.
  const std::vector<Notice>& heard() {
    char bytes[4096];
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];
    while (true) {
      iovec part{bytes, sizeof bytes};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      const ssize_t size = recvmsg(socket_.get(), &message, MSG_DONTWAIT);
      if (size < 0) return heard_;
      ucred sender{};
      std::memcpy(&sender, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof sender);
      heard_.push_back({std::string(bytes, static_cast<std::size_t>(size)), sender.pid});
    }
  }

  std::size_t count(const std::string& begin) {
    const auto& all = heard();
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [&](const Notice& notice) { return notice.text.starts_with(begin); }));
  }

  // "READY STATUS RELOADING …": the first word of each, in order, without those that only tell a status or life.
  std::string order() {
    std::string words;
    for (const Notice& notice : heard()) {
      const std::string word = notice.text.substr(0, notice.text.find('='));
      if (word != "STATUS" && word != "WATCHDOG") words.append(words.empty() ? "" : " ").append(word);
    }
    return words;
  }

 private:
  const TemporaryFolder folder_;
  const std::string path_;
  const UniqueFd socket_;
  std::vector<Notice> heard_;
};

ServerOptions managed_by(const NotifySocket& manager, unsigned workers) {
  ServerOptions options = with_workers(workers);
  options.environment = {"NOTIFY_SOCKET=" + manager.path()};
  return options;
}

TEST_CASE("READY comes when all workers serve, from the supervisor, and a stop is told", "[process]") {
  NotifySocket manager;
  ServerOptions options = managed_by(manager, 2);
  options.set = {{"app.recycle.drain_timeout", "\"20s\""}};
  ServerProcess server(options);
  REQUIRE(eventually([&] { return manager.count("READY=1") == 1; }));
  // Whoever believes it finds a server that answers.
  server.wait_until_serving();
  CHECK(fetch(server.address(), "/").status == 200);
  server.wait_until_ready();

  const auto ready = std::find_if(manager.heard().begin(), manager.heard().end(),
                                  [](const Notice& notice) { return notice.text.starts_with("READY=1"); });
  CHECK(ready->text ==
        "READY=1\nMAINPID=" + std::to_string(server.pid()) + "\nSTATUS=serving, 2 of 2 workers ready, generation 1");
  server.expect_clean_exit();
  CHECK(manager.order() == "READY STOPPING");
  // drain_timeout, and what comes after it: 10 s for exit handlers, 5 s for the kernel.
  CHECK(manager.count("STOPPING=1\nEXTEND_TIMEOUT_USEC=35000000\nSTATUS=stopping") == 1);
  for (const Notice& notice : manager.heard()) CHECK(notice.sender == server.pid());
}

TEST_CASE("HUP is RELOADING with a time of after the signal, and READY when every worker is a new one", "[process]") {
  NotifySocket manager;
  ServerProcess server(managed_by(manager, 2));
  server.wait_until_ready();
  REQUIRE(eventually([&] { return manager.count("READY=1") == 1; }));
  const auto before = server.ready_workers();

  const auto asked = std::chrono::steady_clock::now().time_since_epoch();
  server.signal(SIGHUP);
  REQUIRE(eventually([&] { return manager.count("READY=1") == 2; }));
  const auto after = server.ready_workers();
  CHECK(std::find_first_of(after.begin(), after.end(), before.begin(), before.end()) == after.end());
  CHECK(manager.order() == "READY RELOADING READY");
  const std::string begun = "RELOADING=1\nMONOTONIC_USEC=";
  for (const Notice& notice : manager.heard()) {
    if (!notice.text.starts_with("RELOADING=1")) continue;
    REQUIRE(notice.text.starts_with(begun));
    CHECK(std::chrono::microseconds(std::stoll(notice.text.substr(begun.size()))) >= asked);
  }
  server.expect_clean_exit();
}

TEST_CASE("a reload that fails is RELOADING and READY again, and the status says why", "[process]") {
  NotifySocket manager;
  ServerOptions options = managed_by(manager, 1);
  options.toml = "[log]\naccess = \"\"\n";
  ServerProcess server(options);
  server.wait_until_ready();
  REQUIRE(eventually([&] { return manager.count("READY=1") == 1; }));

  server.folder().write("stint.toml", "nonsense = 1\n");
  server.signal(SIGHUP);
  REQUIRE(eventually([&] { return manager.count("READY=1") == 2; }));
  CHECK(manager.order() == "READY RELOADING READY");
  CHECK(manager.heard().back().text ==
        "READY=1\nSTATUS=serving, 1 of 1 workers ready, generation 1; the last reload failed: the settings are not "
        "valid");
  CHECK(fetch(server.address(), "/").status == 200);
  server.expect_clean_exit();
}

TEST_CASE("an upgrade is RELOADING and READY once, and the new program goes on speaking", "[process][upgrade]") {
  NotifySocket manager;
  ServerOptions options = managed_by(manager, 1);
  options.environment.push_back("WATCHDOG_USEC=200000");
  ServerProcess server(options);
  server.wait_until_ready();
  REQUIRE(eventually([&] { return manager.count("READY=1") == 1; }));
  CHECK(server.command({"upgrade", "--wait"}).exit_code == 0);
  CHECK(eventually([&] { return manager.count("READY=1\nSTATUS=serving, 1 of 1 workers ready, generation 2") == 1; }));
  const std::size_t so_far = manager.count("WATCHDOG=1");
  CHECK(eventually([&] { return manager.count("WATCHDOG=1") >= so_far + 5; }));
  server.expect_clean_exit();
  CHECK(manager.order() == "READY RELOADING READY STOPPING");
  for (const Notice& notice : manager.heard()) CHECK(notice.sender == server.pid());
}

TEST_CASE("signs of life come as long as the server lives, and its status with each change", "[process]") {
  NotifySocket manager;
  ServerOptions options = managed_by(manager, 1);
  options.environment.push_back("WATCHDOG_USEC=200000");
  ServerProcess server(options);
  server.wait_until_ready();
  const std::size_t so_far = manager.count("WATCHDOG=1");
  CHECK(eventually([&] { return manager.count("WATCHDOG=1") >= so_far + 5; }));

  // No other status, because a slot without a ready worker lasts as long as the start of the next one.
  kill(server.ready_workers().at(0), SIGKILL);
  CHECK(eventually([&] { return manager.count("STATUS=serving, 0 of 1 workers ready, generation 1") == 1; }));
  CHECK(eventually([&] { return manager.count("STATUS=serving, 1 of 1 workers ready, generation 1") == 1; }));
  server.expect_clean_exit();
}

TEST_CASE("a start that fails is never READY", "[process]") {
  NotifySocket manager;
  ServerOptions options = managed_by(manager, 2);
  options.module = "fails_to_import:application";
  ServerProcess server(options);
  CHECK(server.wait_for_exit(patience) == 1);
  CHECK(manager.count("READY=1") == 0);
  server.expect_nothing_left();
}

TEST_CASE("an application cannot speak for the server", "[process]") {
  NotifySocket manager;
  ServerOptions options = managed_by(manager, 1);
  options.environment.push_back("WATCHDOG_USEC=10000000");
  options.environment.push_back("INVOCATION_ID=0123456789abcdef0123456789abcdef");
  ServerProcess server(options);
  server.wait_until_ready();
  const auto variables = boost::json::parse(fetch(server.address(), "/variables").body).as_object();
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) CHECK_FALSE(variables.contains(name));
  CHECK(variables.contains("INVOCATION_ID"));
  server.expect_clean_exit();
}

TEST_CASE("a server whose service manager is gone says so once and serves on", "[process]") {
  ServerOptions options;
  options.environment = {"NOTIFY_SOCKET=/nowhere/notify", "WATCHDOG_USEC=100000"};
  ServerProcess server(options);
  server.wait_until_ready();
  CHECK(fetch(server.address(), "/").status == 200);
  CHECK(server.log_count("cannot tell the service manager") == 1);
  CHECK(server.log_count("next=ignoring") == 1);
  server.expect_clean_exit();
}

}  // namespace
}  // namespace stint::test
