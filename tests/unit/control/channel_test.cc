#include "server/control/channel.h"

#include "server/net/descriptor_passing.h"
#include "tests/support/catch.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <vector>

using namespace stint;
using namespace stint::control;

namespace {

struct Ends {
  std::optional<Channel> supervisor;
  std::optional<Channel> worker;
  Ends() {
    auto pair = Channel::make_pair();
    REQUIRE(pair.has_value());
    supervisor.emplace(std::move(pair->first));
    worker.emplace(std::move(pair->second));
  }
};

}  // namespace

TEST_CASE("messages arrive whole and in order", "[control]") {
  Ends ends;
  REQUIRE(ends.worker->send(Warming{}).has_value());
  REQUIRE(ends.worker->send(RecycleWanted{"SIGTERM"}).has_value());
  auto first = ends.supervisor->receive();
  REQUIRE((first.has_value() && first->has_value()));
  CHECK(std::holds_alternative<Warming>(**first));
  auto second = ends.supervisor->receive();
  REQUIRE((second.has_value() && second->has_value()));
  CHECK(std::get<RecycleWanted>(**second).reason == "SIGTERM");
}

TEST_CASE("nothing there is no error and does not block", "[control]") {
  Ends ends;
  auto nothing = ends.worker->receive();
  REQUIRE(nothing.has_value());
  CHECK_FALSE(nothing->has_value());
  CHECK(::fcntl(ends.worker->fd(), F_GETFD) == FD_CLOEXEC);
}

TEST_CASE("the largest message that there is fits an empty channel", "[control]") {
  Ends ends;
  const std::string long_text(1'000'000, '"');  // each needs an escape
  REQUIRE(ends.worker->send(StartFailed{{long_text, long_text, long_text}}).has_value());
  auto received = ends.supervisor->receive();
  REQUIRE((received.has_value() && received->has_value()));
  CHECK(std::holds_alternative<StartFailed>(**received));
}

TEST_CASE("the end of one side is told to the other after what it had said", "[control]") {
  Ends ends;
  REQUIRE(ends.worker->send(StartFailed{{"import", "ImportError", ""}}).has_value());
  ends.worker.reset();
  auto last_words = ends.supervisor->receive();
  REQUIRE((last_words.has_value() && last_words->has_value()));
  CHECK(std::holds_alternative<StartFailed>(**last_words));
  auto end = ends.supervisor->receive();
  REQUIRE_FALSE(end.has_value());
  CHECK(end.error().code.value() == ECONNRESET);
  auto sent = ends.supervisor->send(ReopenLogs{});
  REQUIRE_FALSE(sent.has_value());
  CHECK(sent.error().code.value() == EPIPE);
}

TEST_CASE("last words are not lost when their sender left a message of ours unread", "[control]") {
  Ends ends;
  REQUIRE(ends.supervisor->send(ReopenLogs{}).has_value());
  REQUIRE(ends.worker->send(StartFailed{{"import", "ImportError", ""}}).has_value());
  ends.worker.reset();
  auto last_words = ends.supervisor->receive();
  REQUIRE(last_words.has_value());
  REQUIRE(last_words->has_value());
  CHECK(std::holds_alternative<StartFailed>(**last_words));
  auto end = ends.supervisor->receive();
  REQUIRE_FALSE(end.has_value());
  CHECK(end.error().code.value() == ECONNRESET);
}

TEST_CASE("a side that does not read costs an error, not a wait", "[control]") {
  Ends ends;
  Result<void> sent;
  for (int i = 0; i < 100'000 && sent; ++i) sent = ends.supervisor->send(ReopenLogs{});
  REQUIRE_FALSE(sent.has_value());
  CHECK(sent.error().code.value() == EAGAIN);
}

TEST_CASE("a broken packet is an error, and the next message is read all the same", "[control]") {
  Ends ends;
  REQUIRE(::send(ends.worker->fd(), "rubbish", 7, 0) == 7);
  REQUIRE(ends.worker->send(Drained{}).has_value());
  auto broken = ends.supervisor->receive();
  REQUIRE_FALSE(broken.has_value());
  CHECK(broken.error().code.value() != ECONNRESET);
  auto next = ends.supervisor->receive();
  REQUIRE((next.has_value() && next->has_value()));
  CHECK(std::holds_alternative<Drained>(**next));
}

TEST_CASE("descriptors come with their message, and are closed where nobody asks for them", "[control]") {
  Ends ends;
  int pipe_ends[2];
  REQUIRE(::pipe2(pipe_ends, O_CLOEXEC) == 0);
  UniqueFd reader(pipe_ends[0]), writer(pipe_ends[1]);
  REQUIRE(ends.supervisor->send(Fork{1, 0}, std::vector<int>{writer.get()}).has_value());
  REQUIRE(ends.supervisor->send(Fork{2, 0}, std::vector<int>{writer.get()}).has_value());
  writer.reset();

  std::vector<UniqueFd> descriptors;
  auto first = ends.worker->receive(descriptors);
  REQUIRE((first.has_value() && first->has_value()));
  REQUIRE(descriptors.size() == 1);
  auto second = ends.worker->receive();
  REQUIRE((second.has_value() && second->has_value()));
  CHECK(std::get<Fork>(**second).slot == 2);
  descriptors.clear();
  char nothing;
  CHECK(::read(reader.get(), &nothing, 1) == 0);  // no end of the pipe is left
}

TEST_CASE("more descriptors than one message takes are an error", "[control]") {
  Ends ends;
  const std::vector<int> many(net::most_descriptors + 1, STDIN_FILENO);
  CHECK_FALSE(ends.supervisor->send(Fork{}, many).has_value());
}

TEST_CASE("the kernel tells who has sent the next message", "[control]") {
  Ends ends;
  REQUIRE(ends.supervisor->ask_for_senders().has_value());
  CHECK_FALSE(ends.supervisor->sender().has_value());  // nothing there
  const pid_t child = ::fork();
  if (child == 0) {
    const bool is_sent = ends.worker->send(Forked{}).has_value();
    ::_exit(is_sent ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  CHECK(ends.supervisor->sender() == child);
  auto message = ends.supervisor->receive();
  REQUIRE((message.has_value() && message->has_value()));
  CHECK(std::holds_alternative<Forked>(**message));
}
