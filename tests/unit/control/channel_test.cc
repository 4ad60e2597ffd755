#include "server/control/channel.h"

#include "tests/support/catch.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <optional>

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
