#include "server/control/inheritance.h"

#include "server/control/channel.h"
#include "server/control/status_page.h"

#include "tests/support/catch.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace stint;
using namespace stint::control;

namespace {

// In a child of its own, because the numbers 3, 4, … have to be free: puts `count` descriptors there, the first of them
// a channel if `with_channel`, takes them, and says what came out as an exit code.
enum Outcome { taken = 0, refused = 10, wrong = 20, not_closed_at_exec = 30 };

int take_in_child(const std::vector<std::string>& arguments, int count, bool with_channel) {
  const pid_t child = ::fork();
  if (child == 0) {
    auto ends = Channel::make_pair();
    const int socket = ::dup2(with_channel ? ends->first.fd() : ::open("/dev/null", O_RDONLY), 200);
    for (int fd = 3; fd < 100; ++fd) ::close(fd);
    for (int fd = 3; fd < 3 + count; ++fd) ::dup2(fd == 3 ? socket : 0, fd);
    auto inheritance = take_inheritance(arguments);
    if (!inheritance) ::_exit(refused);
    if (inheritance->slot != 3 || inheritance->generation != 7 || inheritance->channel.get() != 3 ||
        inheritance->settings.get() != 4 || inheritance->status_page.get() != 5 ||
        inheritance->connection_table.get() != 6 || inheritance->inbox_put.get() != 7 ||
        inheritance->inbox_take.get() != 8 || inheritance->idle_workers.get() != 9 ||
        inheritance->listeners.size() != 2 || inheritance->listeners[0].get() != 10 ||
        inheritance->listeners[1].get() != 11)
      ::_exit(wrong);
    for (int fd = 3; fd < 12; ++fd)
      if (::fcntl(fd, F_GETFD) != FD_CLOEXEC) ::_exit(not_closed_at_exec);
    ::_exit(taken);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("a worker takes what its supervisor has prepared", "[control]") {
  CHECK(take_in_child(worker_arguments(3, 7, 2), 9, true) == taken);
}

TEST_CASE("a worker that no supervisor started is refused", "[control]") {
  const auto arguments = worker_arguments(3, 7, 2);
  CHECK(take_in_child(arguments, 0, true) == refused);   // nothing there
  CHECK(take_in_child(arguments, 8, true) == refused);   // one missing
  CHECK(take_in_child(arguments, 9, false) == refused);  // descriptors of something else
  CHECK(take_in_child({}, 9, true) == refused);
  CHECK(take_in_child({"worker"}, 9, true) == refused);
  auto other = arguments;
  other[2] = "three";
  CHECK(take_in_child(other, 9, true) == refused);
  other = arguments;
  other[2] = "0";
  CHECK(take_in_child(other, 9, true) == refused);
}

TEST_CASE("the arguments are those that `ps` should show", "[control]") {
  CHECK(worker_arguments(3, 7, 2) ==
        std::vector<std::string>{"worker", "--slot", "3", "--generation", "7", "--listeners", "2"});
}
