#include "server/supervisor/worker_rights.h"

#include "tests/support/catch.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <functional>

using namespace stint;
using namespace stint::supervisor;

namespace {

const Account site{12345, 12346, {12346, 12347}, "site", "/srv/site", "/bin/bash"};

constexpr std::uint64_t memory_limit = std::uint64_t{1} << 46;  // a sanitizer maps tebibytes

// What `ask` says in a child that has taken the rights up; the number when that failed.
int in_child(const WorkerRights& rights, const std::function<bool()>& ask) {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    int said = take_up(rights);
    if (said == 0) said = ask() ? 0 : -1;
    ::_exit(::write(ends[1], &said, sizeof said) == sizeof said ? 0 : 1);
  }
  ::close(ends[1]);
  int said = -2;
  CHECK(::read(ends[0], &said, sizeof said) == sizeof said);
  ::close(ends[0]);
  CHECK(::waitpid(child, nullptr, 0) == child);
  return said;
}

bool has_only_groups(std::vector<gid_t> wanted) {
  std::vector<gid_t> groups(64);
  groups.resize(static_cast<std::size_t>(std::max(0, ::getgroups(64, groups.data()))));
  return groups == wanted;
}

TEST_CASE("a process that has taken up a user's rights is that user and nobody else, for good", "[supervisor]") {
  if (::geteuid() != 0) {
    WARN("skipped: only root can become another user");
    return;
  }
  AppSettings app;
  app.account = site;
  CHECK(in_child(rights_of(app), [] {
          uid_t real = 0, effective = 0, saved = 0;
          gid_t real_group = 0, effective_group = 0, saved_group = 0;
          return ::getresuid(&real, &effective, &saved) == 0 && real == 12345 && effective == 12345 && saved == 12345 &&
                 ::getresgid(&real_group, &effective_group, &saved_group) == 0 && real_group == 12346 &&
                 effective_group == 12346 && saved_group == 12346 && has_only_groups({12346, 12347}) &&
                 ::setuid(0) != 0 && ::setgid(0) != 0 && ::setgroups(0, nullptr) != 0;
        }) == 0);
}

TEST_CASE("limits, niceness and umask are taken up, soft and hard", "[supervisor]") {
  AppSettings app;
  app.limits = {.memory = memory_limit, .open_files = 100, .processes = std::nullopt, .core = 0};
  app.nice = 3;
  app.umask = 027;
  const int before = ::getpriority(PRIO_PROCESS, 0);
  CHECK(in_child(rights_of(app), [before] {
          rlimit memory{}, files{}, core{};
          return ::getrlimit(RLIMIT_AS, &memory) == 0 && memory.rlim_cur == memory_limit &&
                 memory.rlim_max == memory_limit && ::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur == 100 &&
                 files.rlim_max == 100 && ::getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 &&
                 ::getpriority(PRIO_PROCESS, 0) == std::min(before + 3, 19) && ::umask(0) == 027;
        }) == 0);
}

TEST_CASE("who is not root becomes nobody else, and is told so in words", "[supervisor]") {
  if (::geteuid() != 0) {
    WARN("skipped: only root can begin as somebody else");
    return;
  }
  AppSettings app;
  app.account = site;
  const WorkerRights rights = rights_of(app);
  AppSettings other;
  other.account = Account{23456, 23456, {23456}, "other", "/", "/bin/sh"};
  const WorkerRights others = rights_of(other);

  int number = 0;
  CHECK(in_child(rights, [&] { return take_up(others) != 0; }) == 0);
  number = in_child(rights, [] { return true; });
  CHECK(number == 0);
  CHECK(in_child(rights, [&] { return take_up(rights) == 0; }) == 0);  // it is that user already

  AppSettings greedy = app;
  greedy.limits.open_files = 10'000'000'000;  // more than the kernel lets anybody have
  const WorkerRights too_many = rights_of(greedy);
  number = in_child(too_many, [] { return true; });
  CHECK(
      error_of(number, too_many, "start worker 1").text() ==
      "start worker 1, step user: set app.limits.open_files: Operation not permitted; only root may raise it over the "
      "hard limit that Stint was started with");
}

TEST_CASE("what a failed exec said stays what it is, and has advice where the user is the reason", "[supervisor]") {
  const Error plain = error_of(ENOENT, {}, "start worker 1");
  CHECK(plain.code.value() == ENOENT);
  CHECK(plain.text() == "start worker 1: No such file or directory");
  WorkerRights rights;
  rights.account = site;
  CHECK(error_of(EACCES, rights, "start worker 1").text() ==
        "start worker 1, step user: exec as site (uid 12345): Permission denied; that user has to be able to execute "
        "Stint's file");
  rights.limits = {{"app.limits.processes", RLIMIT_NPROC, 1}};
  const Error full = error_of(EAGAIN, rights, "start worker 1");
  CHECK(full.code.value() == EAGAIN);  // another attempt later
  CHECK_THAT(full.text(), Catch::Matchers::ContainsSubstring("app.limits.processes"));
}

TEST_CASE("the environment is the user's, and what [app] env sets stays", "[supervisor]") {
  AppSettings app;
  app.env = {{"HOME", "/elsewhere"}, {"A", "b"}};
  CHECK(environment_of(app) == app.env);
  app.account = site;
  CHECK(environment_of(app) ==
        std::map<std::string, std::string>{
            {"A", "b"}, {"HOME", "/elsewhere"}, {"LOGNAME", "site"}, {"SHELL", "/bin/bash"}, {"USER", "site"}});
  app.account = Account{54321, 54321, {54321}, "", "", ""};
  app.env.clear();
  CHECK(environment_of(app) == std::map<std::string, std::string>{
                                   {"HOME", "/"}, {"LOGNAME", "54321"}, {"SHELL", "/bin/sh"}, {"USER", "54321"}});
}

}  // namespace
