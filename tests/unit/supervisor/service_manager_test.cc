#include "server/supervisor/service_manager.h"

#include "tests/support/catch.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

using namespace stint;
using namespace stint::supervisor;
using namespace std::chrono_literals;

namespace {

using Texts = std::vector<std::string>;

constexpr ServiceMoment moment{.pid = 4121, .monotonic = 1234567us, .stop_time = 55s};

ServiceView view(ServerState state, unsigned ready = 2) {
  return {.state = state, .ready = ready, .workers = 2, .generation = 1};
}

ServiceView reloading(std::uint64_t reloads, bool is_reloading) {
  ServiceView view = ::view(ServerState::serving);
  view.reloads = reloads;
  view.is_reloading = is_reloading;
  return view;
}

Texts between(const ServiceView& before, const ServiceView& now) { return messages_between(before, now, moment); }

struct Lines final : Log {
  void write(LogLevel, std::string_view message, std::initializer_list<LogField> fields, std::string_view) override {
    std::string line(message);
    for (const LogField& field : fields) line.append(" ").append(field.name).append("=").append(field.value);
    written.push_back(std::move(line));
  }
  bool is_on(LogLevel) const override { return true; }
  Texts written;
};

// The manager's end, with a name that no file system holds.
struct Manager {
  Manager() : name("stint-notify-" + std::to_string(::getpid())), socket(::socket(AF_UNIX, SOCK_DGRAM, 0)) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())) == 0);
  }
  Texts heard() const {
    Texts messages;
    char bytes[4096];
    for (ssize_t size = 0; (size = ::recv(socket.get(), bytes, sizeof bytes, MSG_DONTWAIT)) >= 0;)
      messages.emplace_back(bytes, static_cast<std::size_t>(size));
    return messages;
  }
  std::string name;
  UniqueFd socket;
};

}  // namespace

TEST_CASE("the manager is told READY when the server serves, and how far it is before", "[supervisor]") {
  CHECK(between({}, view(ServerState::starting, 0)) == Texts{"STATUS=starting, 0 of 2 workers ready, generation 1"});
  CHECK(between(view(ServerState::starting, 1), view(ServerState::serving)) ==
        Texts{"READY=1\nMAINPID=4121\nSTATUS=serving, 2 of 2 workers ready, generation 1"});
  CHECK(between(view(ServerState::serving), view(ServerState::serving, 1)) ==
        Texts{"STATUS=serving, 1 of 2 workers ready, generation 1"});
  CHECK(between(view(ServerState::serving), view(ServerState::serving)).empty());
}

TEST_CASE("a reload is RELOADING with the time, then READY", "[supervisor]") {
  const std::string begun = "RELOADING=1\nMONOTONIC_USEC=1234567\nSTATUS=reloading, 2 of 2 workers ready, generation 1";
  const std::string over = "READY=1\nSTATUS=serving, 2 of 2 workers ready, generation 1";
  CHECK(between(reloading(0, false), reloading(1, true)) == Texts{begun});
  CHECK(between(reloading(1, true), reloading(1, true)).empty());
  CHECK(between(reloading(1, true), reloading(2, true)) == Texts{begun});  // once more before the first was over
  CHECK(between(reloading(1, true), reloading(1, false)) == Texts{over});

  // Begun and over before anybody could tell: failed at once.
  CHECK(between(reloading(1, false), reloading(2, false)) ==
        Texts{"RELOADING=1\nMONOTONIC_USEC=1234567\nSTATUS=serving, 2 of 2 workers ready, generation 1", over});
}

TEST_CASE("why the last reload failed is told in the one line of the status", "[supervisor]") {
  ServiceView failed = reloading(1, false);
  failed.failed_reload = "SyntaxError: invalid syntax\nREADY=1";
  const Texts told = between(reloading(1, true), failed);
  REQUIRE(told.size() == 1);
  CHECK(told[0] ==
        "READY=1\nSTATUS=serving, 2 of 2 workers ready, generation 1; the last reload failed: SyntaxError: invalid "
        "syntax "
        "READY=1");
  failed.failed_reload.assign(100'000, 'x');
  CHECK(status_line(failed).size() == 500);
}

TEST_CASE("a reload that was asked for during the start is told after READY", "[supervisor]") {
  ServiceView starting = view(ServerState::starting);
  starting.reloads = 1;
  starting.is_reloading = true;
  CHECK(between(view(ServerState::starting), starting).empty());
  const Texts told = between(starting, reloading(1, true));
  REQUIRE(told.size() == 2);
  CHECK(told[0].starts_with("READY=1\n"));
  CHECK(told[1].starts_with("RELOADING=1\n"));
}

TEST_CASE("a stop is told once, with the time it may take", "[supervisor]") {
  CHECK(between(view(ServerState::serving), view(ServerState::draining)) ==
        Texts{"STOPPING=1\nEXTEND_TIMEOUT_USEC=55000000\nSTATUS=draining, 2 of 2 workers ready, generation 1"});
  CHECK(between(view(ServerState::draining), view(ServerState::stopping)) == Texts{"STATUS=stopping"});
  CHECK(between(view(ServerState::stopping), view(ServerState::stopping, 0)).empty());
  CHECK(between(view(ServerState::serving), view(ServerState::stopping)) ==
        Texts{"STOPPING=1\nEXTEND_TIMEOUT_USEC=55000000\nSTATUS=stopping"});
  CHECK(between(reloading(1, true), view(ServerState::stopping)).size() == 1);  // what is stopped is not ready again
}

TEST_CASE("a watchdog counts when it waits for this process", "[supervisor]") {
  CHECK(watchdog_time("20000000", "4121", 4121) == 20s);
  CHECK(watchdog_time("20000000", std::nullopt, 4121) == 20s);
  CHECK(watchdog_time("20000000", "4122", 4121) == 0s);
  CHECK(watchdog_time("20000000", "", 4121) == 0s);
  CHECK(watchdog_time(std::nullopt, "4121", 4121) == 0s);
  for (const char* nonsense : {"", "0", "-1", "soon", "1s", "18446744073709551615"})
    CHECK(watchdog_time(nonsense, "4121", 4121) == 0s);
}

TEST_CASE("the manager's variables are read once and are gone for all children", "[supervisor]") {
  ::setenv("NOTIFY_SOCKET", "/run/notify", 1);
  ::setenv("WATCHDOG_USEC", "5000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  const auto settings = take_service_manager_settings();
  CHECK(settings.socket == "/run/notify");
  CHECK(settings.watchdog == 5s);
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) CHECK(::getenv(name) == nullptr);
  CHECK(take_service_manager_settings().socket.empty());
}

TEST_CASE("news go to the manager's socket once, signs of life at half of its time", "[supervisor]") {
  const Manager manager;
  Lines log;
  ServiceManager service({"@" + manager.name, 10s}, log);
  service.show(view(ServerState::serving), 55s);
  service.show(view(ServerState::serving), 55s);
  CHECK(manager.heard() == Texts{"READY=1\nMAINPID=" + std::to_string(::getpid()) +
                                 "\nSTATUS=serving, 2 of 2 workers ready, generation 1"});

  const auto now = std::chrono::steady_clock::now();
  service.tick(now);
  service.tick(now + 4900ms);
  CHECK(manager.heard() == Texts{"WATCHDOG=1"});
  service.tick(now + 5s);
  CHECK(manager.heard() == Texts{"WATCHDOG=1"});
  CHECK(log.written.empty());
}

TEST_CASE("what does not fit into the manager's queue is told later", "[supervisor]") {
  const Manager manager;
  Lines log;
  ServiceManager service({"@" + manager.name, 0s}, log);
  unsigned ready = 0;
  // The queue holds as many datagrams as net.unix.max_dgram_qlen says, and one more.
  for (unsigned i = 0; i < 10'000; ++i) service.show(view(ServerState::starting, ready = i), 55s);
  service.show(view(ServerState::serving), 55s);
  CHECK(manager.heard().size() < 10'000);
  service.show(view(ServerState::serving), 55s);
  const Texts later = manager.heard();
  REQUIRE(later.size() == 1);
  CHECK(later[0].starts_with("READY=1\n"));
  CHECK(log.written.empty());
}

TEST_CASE("a manager that cannot be reached is complained of once", "[supervisor]") {
  Lines log;
  ServiceManager gone({"/nowhere/notify", 1us}, log);
  gone.show(view(ServerState::starting), 55s);
  gone.show(view(ServerState::serving), 55s);
  gone.tick(std::chrono::steady_clock::now());
  CHECK(log.written == Texts{"cannot tell the service manager error=send to /nowhere/notify: No such file or directory "
                             "next=ignoring"});
}

TEST_CASE("a socket that is none of a unix kind is complained of, and no socket at all is not", "[supervisor]") {
  for (const std::string& socket : {std::string("vsock:2:1234"), std::string("@"), "/" + std::string(200, 'a')}) {
    Lines log;
    ServiceManager service({socket, 1us}, log);
    service.show(view(ServerState::serving), 55s);
    CHECK(log.written == Texts{"cannot tell the service manager error=NOTIFY_SOCKET is '" + socket +
                               "', no unix socket next=ignoring"});
  }
  Lines log;
  ServiceManager service({"", 0s}, log);
  service.show(view(ServerState::serving), 55s);
  service.tick(std::chrono::steady_clock::now());
  CHECK(log.written.empty());
}
