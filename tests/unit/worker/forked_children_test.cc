#include "server/worker/forked_children.h"

#include "stint/unique_fd.h"
#include "tests/support/catch.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

using namespace stint;
using namespace stint::worker;

namespace {

bool is_open(int number) { return ::fcntl(number, F_GETFD) >= 0; }

UniqueFd make_socket() { return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

// Which of these a forked child has open, as bits.
int open_in_child(const std::vector<int>& numbers) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    int open = 0;
    for (std::size_t i = 0; i < numbers.size(); ++i) open |= is_open(numbers[i]) ? 1 << i : 0;
    ::_exit(open);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("a forked child closes what is the worker's, and nothing else", "[worker]") {
  const UniqueFd listener = make_socket(), of_application = make_socket();
  UniqueFd first = make_socket(), second = make_socket();
  close_in_forked_children({listener.get()}, 4);
  connection_opened(0, first.get());
  connection_opened(1, second.get());
  const std::vector<int> numbers{listener.get(), first.get(), second.get(), of_application.get()};
  CHECK(open_in_child(numbers) == 0b1000);

  // One has gone, and the application has its number.
  connection_closes(0);
  first.reset();
  const UniqueFd heir = make_socket();
  REQUIRE(heir.get() == numbers[1]);
  CHECK(open_in_child(numbers) == 0b1010);

  // The same where the child's memory is a moment older than its descriptors.
  second.reset();
  const UniqueFd other_heir = make_socket();
  REQUIRE(other_heir.get() == numbers[2]);
  CHECK(open_in_child(numbers) == 0b1110);

  forget_forked_children();
  CHECK(open_in_child(numbers) == 0b1111);
}
