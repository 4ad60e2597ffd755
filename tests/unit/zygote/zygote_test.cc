// A zygote whose runtime is none, in a process of its own: what the supervisor sees of it.
#include "server/zygote/zygote.h"

#include "tests/support/catch.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

using namespace stint;
using namespace stint::zygote;

namespace {

struct NoLog final : Log {
  void write(LogLevel, std::string_view, std::initializer_list<LogField>, std::string_view) override {}
  bool is_on(LogLevel) const override { return false; }
};

struct FakeRuntime final : Runtime {
  unsigned slot_of_worker = 0;

  std::unique_ptr<Application> load(std::vector<StartStep>&, LoadFailure&) override { return nullptr; }
  void shut_down() override {}
  Result<ThreadProbe> probe_threads(int, int) override { return error_because("none"); }
  void settle_for_forks() override {}
  std::vector<NamedThread> threads() override { return {}; }
  pid_t fork(unsigned slot, const std::function<pid_t()>& fork) override {
    const pid_t pid = fork();
    if (pid == 0) slot_of_worker = slot;
    return pid;
  }
};

// The supervisor's end.
struct Started {
  pid_t pid = -1;
  control::Channel channel;
};

// Each worker of it exits with 100 + its slot.
[[noreturn]] void be_zygote(control::Channel channel, const std::optional<LoadFailure>& failure) {
  for (int fd = 3; fd < 100; ++fd)
    if (fd != channel.fd()) ::close(fd);  // what the test runner was left open would be an obstacle
  FakeRuntime runtime;
  NoLog log;
  control::ZygoteInheritance inheritance;
  inheritance.generation = 7;
  inheritance.channel = channel.release();
  unsigned slot = 0;
  const auto preload = [&](std::vector<StartStep>& steps, Preloaded& preloaded) {
    steps.push_back({"import", {}});
    preloaded = {&runtime, "3.x"};
    return failure;
  };
  const auto begin_worker = [&](control::WorkerInheritance inherited) {
    if (inherited.generation == 7) slot = inherited.slot;
  };
  Zygote zygote(std::move(inheritance), preload, log, [] {}, begin_worker);
  const Outcome outcome = zygote.run();
  if (!outcome.fork) ::_exit(outcome.exit_code);
  ::_exit(outcome.fork->name == "fork" && slot == runtime.slot_of_worker ? static_cast<int>(100 + slot) : 99);
}

Started start(const std::optional<LoadFailure>& failure = std::nullopt) {
  REQUIRE(::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
  auto ends = control::Channel::make_pair();
  REQUIRE(ends.has_value());
  const pid_t pid = ::fork();
  if (pid == 0) be_zygote(std::move(ends->second), failure);
  return {pid, std::move(ends->first)};
}

void wait_for_message(const control::Channel& channel) {
  pollfd ready{.fd = channel.fd(), .events = POLLIN, .revents = 0};
  REQUIRE(::poll(&ready, 1, 30'000) == 1);
}

control::Message next_message(control::Channel& channel) {
  wait_for_message(channel);
  auto message = channel.receive();
  REQUIRE((message.has_value() && message->has_value()));
  return std::move(**message);
}

int exit_code_of(pid_t pid) {
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("a zygote forks workers that introduce themselves, and ends with its channel", "[zygote]") {
  Started zygote = start();
  const auto ready = next_message(zygote.channel);
  REQUIRE(std::holds_alternative<control::Ready>(ready));
  CHECK(std::get<control::Ready>(ready).steps.front().name == "import");
  CHECK(std::get<control::Ready>(ready).python == "3.x");

  for (unsigned slot = 1; slot <= 3; ++slot) {
    auto ends = control::Channel::make_pair();
    REQUIRE(ends.has_value());
    REQUIRE(ends->first.ask_for_senders().has_value());
    const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const auto inbox = control::make_inbox();
    REQUIRE(inbox.has_value());
    const auto descriptors = control::descriptors_for_fork(ends->second.fd(), null.get(), null.get(), *inbox, {});
    REQUIRE(zygote.channel.send(control::Fork{slot, 0}, descriptors).has_value());
    static_cast<void>(ends->second.release());

    wait_for_message(ends->first);
    const auto worker = ends->first.sender();
    REQUIRE(worker.has_value());
    CHECK(*worker != zygote.pid);
    CHECK(std::holds_alternative<control::Forked>(next_message(ends->first)));
    CHECK(exit_code_of(*worker) == static_cast<int>(100 + slot));  // our child
  }
  static_cast<void>(zygote.channel.release());
  CHECK(exit_code_of(zygote.pid) == 0);
}

TEST_CASE("an order that lacks descriptors is refused on the channel of the worker it was for", "[zygote]") {
  Started zygote = start();
  REQUIRE(std::holds_alternative<control::Ready>(next_message(zygote.channel)));
  auto ends = control::Channel::make_pair();
  REQUIRE(ends.has_value());
  REQUIRE(zygote.channel.send(control::Fork{1, 0}, std::vector<int>{ends->second.fd()}).has_value());
  static_cast<void>(ends->second.release());
  const auto word = next_message(ends->first);
  REQUIRE(std::holds_alternative<control::StartFailed>(word));
  CHECK(std::get<control::StartFailed>(word).failure.step == "fork");
  static_cast<void>(zygote.channel.release());
  CHECK(exit_code_of(zygote.pid) == 0);
}

TEST_CASE("a zygote that cannot load the application says so and exits with 1", "[zygote]") {
  Started zygote = start(LoadFailure{"import", "LookupError: no", "Traceback"});
  const auto word = next_message(zygote.channel);
  REQUIRE(std::holds_alternative<control::StartFailed>(word));
  CHECK(std::get<control::StartFailed>(word).failure.summary == "LookupError: no");
  CHECK(exit_code_of(zygote.pid) == 1);
}
