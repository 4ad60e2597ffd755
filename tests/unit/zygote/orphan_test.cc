#include "server/zygote/orphan.h"

#include "stint/unique_fd.h"

#include "tests/support/catch.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

using namespace stint;
using namespace stint::zygote;

namespace {

// What a worker tells of itself.
struct Told {
  pid_t pid = 0;
  pid_t parent = 0;
  int is_signalled = 0;
  unsigned forks_before = 0, forks_after = 0;
};

unsigned forks_before = 0;
unsigned forks_after = 0;
volatile std::sig_atomic_t is_signalled = 0;

// Runs `body` in a child of this process, which inherits orphans.
template <class Body>
pid_t start_zygote(Body body) {
  REQUIRE(::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    body();
    ::_exit(0);
  }
  return pid;
}

}  // namespace

TEST_CASE("a forked orphan is the child of who inherits orphans, and whole for the C library", "[zygote]") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd reader(ends[0]), writer(ends[1]);
  const pid_t zygote = start_zygote([&] {
    ::pthread_atfork([] { ++forks_before; }, nullptr, [] { ++forks_after; });
    if (fork_orphan() != 0) return;
    std::signal(SIGUSR1, [](int) { is_signalled = 1; });
    ::raise(SIGUSR1);  // goes by the C library's copy of the thread's id
    const Told told{::getpid(), ::getppid(), is_signalled, forks_before, forks_after};
    static_cast<void>(!::write(writer.get(), &told, sizeof told));
    ::_exit(7);
  });
  Told told;
  REQUIRE(::read(reader.get(), &told, sizeof told) == sizeof told);
  CHECK(told.parent == ::getpid());
  CHECK(told.is_signalled == 1);
  CHECK(told.forks_before == 1);
  CHECK(told.forks_after == 1);
  int status = 0;
  CHECK(::waitpid(told.pid, &status, 0) == told.pid);  // ours to wait for
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 7));
  CHECK(::waitpid(zygote, &status, 0) == zygote);
  CHECK(::waitpid(-1, &status, 0) == -1);  // no go-between is left
}

TEST_CASE("a process that may have no more children is told so", "[zygote]") {
  const pid_t zygote = start_zygote([] {
    if (::geteuid() == 0 && ::setresuid(65533, 65533, 65533) != 0) ::_exit(1);  // the limit does not bind root
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_NPROC, &none) != 0) ::_exit(2);
    if (fork_orphan() != -1 || errno != EAGAIN) ::_exit(3);
  });
  int status = 0;
  CHECK(::waitpid(zygote, &status, 0) == zygote);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
}
