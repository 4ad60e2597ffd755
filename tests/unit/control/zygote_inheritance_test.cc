#include "server/control/zygote_inheritance.h"

#include "server/control/channel.h"

#include "tests/support/catch.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

using namespace stint;
using namespace stint::control;

namespace {

// In a child of its own, because the numbers 3 and 4 have to be free. The exit code says what came out.
enum Outcome { taken = 0, refused = 10, wrong = 20, not_closed_at_exec = 30 };

int take_in_child(const std::vector<std::string>& arguments, bool with_channel) {
  const pid_t child = ::fork();
  if (child == 0) {
    auto ends = Channel::make_pair();
    const int socket = ::dup2(with_channel ? ends->first.fd() : ::open("/dev/null", O_RDONLY), 200);
    for (int fd = 3; fd < 100; ++fd) ::close(fd);
    ::dup2(socket, 3);
    ::dup2(0, 4);
    auto inheritance = take_zygote_inheritance(arguments);
    if (!inheritance) ::_exit(refused);
    if (inheritance->generation != 7 || inheritance->channel.get() != 3 || inheritance->settings.get() != 4)
      ::_exit(wrong);
    for (int fd = 3; fd < 5; ++fd)
      if (::fcntl(fd, F_GETFD) != FD_CLOEXEC) ::_exit(not_closed_at_exec);
    ::_exit(taken);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::vector<UniqueFd> some_descriptors(std::size_t count) {
  std::vector<UniqueFd> descriptors;
  for (std::size_t i = 0; i < count; ++i) descriptors.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  return descriptors;
}

}  // namespace

TEST_CASE("a zygote takes what its supervisor has prepared", "[control]") {
  CHECK(take_in_child(zygote_arguments(7), true) == taken);
}

TEST_CASE("a zygote that no supervisor started is refused", "[control]") {
  CHECK(take_in_child(zygote_arguments(7), false) == refused);  // descriptors of something else
  CHECK(take_in_child({}, true) == refused);
  CHECK(take_in_child({"zygote"}, true) == refused);
  for (std::size_t word = 0; word < 3; ++word) {
    auto arguments = zygote_arguments(7);
    arguments[word] = "other";
    CHECK(take_in_child(arguments, true) == refused);
  }
}

TEST_CASE("what a worker inherits crosses the channel with the order to fork it", "[control]") {
  auto ends = Channel::make_pair();
  REQUIRE(ends.has_value());
  const auto inbox = make_inbox();
  REQUIRE(inbox.has_value());
  const auto sent = some_descriptors(5);
  const auto numbers =
      descriptors_for_fork(sent[0].get(), sent[1].get(), sent[2].get(), *inbox, {sent[3].get(), sent[4].get()});
  REQUIRE(ends->first.send(Fork{3, 2}, numbers).has_value());

  std::vector<UniqueFd> descriptors;
  const auto message = ends->second.receive(descriptors);
  REQUIRE((message.has_value() && message->has_value()));
  ZygoteInheritance zygote;
  zygote.generation = 7;
  auto inheritance = inheritance_of(std::get<Fork>(**message), zygote, descriptors);
  REQUIRE(inheritance.has_value());
  CHECK(inheritance->slot == 3);
  CHECK(inheritance->generation == 7);
  CHECK(inheritance->listeners.size() == 2);
  for (const UniqueFd* one :
       {&inheritance->channel, &inheritance->status_page, &inheritance->connection_table, &inheritance->inbox_put,
        &inheritance->inbox_take, &inheritance->idle_workers, &inheritance->listeners[1]})
    CHECK(::fcntl(one->get(), F_GETFD) == FD_CLOEXEC);
}

TEST_CASE("an order whose descriptors have not all come is refused, and they stay the caller's", "[control]") {
  const ZygoteInheritance zygote;
  auto descriptors = some_descriptors(6);
  CHECK_FALSE(inheritance_of(Fork{3, 1}, zygote, descriptors).has_value());
  CHECK(descriptors.size() == 6);
  CHECK(descriptors[0].is_open());
}
