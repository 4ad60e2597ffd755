#include "server/control/inbox.h"

#include "tests/support/catch.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

using namespace stint;
using namespace stint::control;

namespace {

InboxEnds make() {
  auto ends = make_inbox();
  REQUIRE(ends.has_value());
  return std::move(*ends);
}

// A client and the server's end of its connection.
struct Pair {
  UniqueFd client;
  UniqueFd server;
  Pair() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    client.reset(ends[0]);
    server.reset(ends[1]);
  }
};

std::optional<Handover> take(const InboxEnds& inbox) {
  auto taken = take_from_inbox(inbox.take.get());
  REQUIRE(taken.has_value());
  return std::move(*taken);
}

// Whether what is written at one end comes out of the other.
bool are_connected(int one, int other) {
  char got = 0;
  return ::write(one, "x", 1) == 1 && ::read(other, &got, 1) == 1 && got == 'x';
}

int open_descriptors() {
  int open = 0;
  for (int fd = 0; fd < 1024; ++fd) open += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return open;
}

// Any packet at all, as a bug would send it.
void send_raw(const InboxEnds& inbox, const void* bytes, std::size_t size, const std::vector<int>& descriptors) {
  iovec part{const_cast<void*>(bytes), size};
  std::vector<char> control(CMSG_SPACE(sizeof(int) * descriptors.size()));
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * descriptors.size());
    std::memcpy(CMSG_DATA(rights), descriptors.data(), sizeof(int) * descriptors.size());
  }
  REQUIRE(::sendmsg(inbox.put.get(), &message, MSG_DONTWAIT) == static_cast<ssize_t>(size));
}

}  // namespace

TEST_CASE("a connection goes through the inbox with its bytes, its body and its story", "[control]") {
  const InboxEnds inbox = make();
  CHECK_FALSE(take(inbox).has_value());

  const Pair pair;
  const UniqueFd body(::memfd_create("body", MFD_CLOEXEC));
  REQUIRE(::write(body.get(), "spooled", 7) == 7);
  HandoverHeader header{.attempts = 1, .head_length = 4, .has_body = 1, .has_body_file = 1};
  for (std::size_t i = 0; i < header.progress.size(); ++i) header.progress[i] = static_cast<std::byte>(i + 1);
  const std::string bytes("head and more \0 than that", 25);
  const std::array descriptors{pair.server.get(), body.get()};
  REQUIRE(put_into_inbox(inbox.put.get(), header, bytes, descriptors) == 0);

  const auto taken = take(inbox);
  REQUIRE(taken.has_value());
  CHECK(taken->bytes == bytes);
  CHECK(taken->header.length == bytes.size());
  CHECK(taken->header.head_length == 4);
  CHECK(taken->header.attempts == 1);
  CHECK(taken->header.has_body == 1);
  CHECK(taken->header.progress == header.progress);
  REQUIRE(taken->sockets.size() == 1);
  CHECK(are_connected(pair.client.get(), taken->sockets[0].get()));
  CHECK(::fcntl(taken->sockets[0].get(), F_GETFD) == FD_CLOEXEC);
  CHECK(::fcntl(taken->body_file.get(), F_GETFD) == FD_CLOEXEC);
  char text[7];
  CHECK(::pread(taken->body_file.get(), text, 7, 0) == 7);
  CHECK(std::string_view(text, 7) == "spooled");
  CHECK_FALSE(take(inbox).has_value());
}

TEST_CASE("idle connections travel together, and in their order", "[control]") {
  const InboxEnds inbox = make();
  const std::vector<Pair> pairs(most_idle_in_packet);
  std::vector<int> sockets;
  for (const Pair& pair : pairs) sockets.push_back(pair.server.get());
  REQUIRE(put_into_inbox(inbox.put.get(), {}, {}, sockets) == 0);
  const auto taken = take(inbox);
  REQUIRE(taken.has_value());
  CHECK(taken->bytes.empty());
  CHECK_FALSE(taken->body_file.is_open());
  REQUIRE(taken->sockets.size() == sockets.size());
  for (std::size_t i = 0; i < pairs.size(); ++i) CHECK(are_connected(pairs[i].client.get(), taken->sockets[i].get()));
}

TEST_CASE("a connection waits in the inbox while nobody is there who has it open", "[control]") {
  const InboxEnds inbox = make();
  Pair pair;
  REQUIRE(put_into_inbox(inbox.put.get(), {}, "half a req", std::array{pair.server.get()}) == 0);
  pair.server.reset();
  CHECK(::write(pair.client.get(), "x", 1) == 1);  // not closed
  const auto taken = take(inbox);
  REQUIRE(taken.has_value());
  CHECK(taken->header.head_length == 0);
  char got = 0;
  CHECK((::read(taken->sockets[0].get(), &got, 1) == 1 && got == 'x'));
}

TEST_CASE("the largest packet passes, and one larger is refused", "[control]") {
  const InboxEnds inbox = make();
  const Pair pair;
  const std::array socket{pair.server.get()};
  const std::string largest(most_bytes_in_packet, 'x');
  CHECK(put_into_inbox(inbox.put.get(), {}, largest, socket) == 0);
  CHECK(take(inbox)->bytes == largest);
  CHECK(put_into_inbox(inbox.put.get(), {}, largest + "x", socket) == EINVAL);
}

TEST_CASE("what would be no hand-over is not put in", "[control]") {
  const InboxEnds inbox = make();
  const Pair pair;
  const int fd = pair.server.get();
  const std::array one{fd};
  const std::array two{fd, fd};
  const std::vector<int> too_many(most_idle_in_packet + 1, fd);
  const int end = inbox.put.get();
  CHECK(put_into_inbox(end, {}, {}, {}) == EINVAL);  // nothing
  CHECK(put_into_inbox(end, {}, {}, too_many) == EINVAL);
  CHECK(put_into_inbox(end, {}, "GET", two) == EINVAL);                                 // whose bytes?
  CHECK(put_into_inbox(end, {.has_body = 1}, {}, two) == EINVAL);                       // whose body?
  CHECK(put_into_inbox(end, {.has_body = 1, .has_body_file = 1}, "G", one) == EINVAL);  // no socket
  CHECK(put_into_inbox(end, {.head_length = 4}, "GET", one) == EINVAL);
  CHECK_FALSE(take(inbox).has_value());
}

TEST_CASE("a full inbox says so, loses nothing, and has room again when one is taken", "[control]") {
  const InboxEnds inbox = make();
  const int small = 4096;
  REQUIRE(::setsockopt(inbox.put.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
  const Pair pair;
  const std::array socket{pair.server.get()};
  const std::string bytes(1000, 'x');
  int sent = 0;
  int error = 0;
  while (sent < 10'000 && (error = put_into_inbox(inbox.put.get(), {}, bytes, socket)) == 0) ++sent;
  CHECK(error == EAGAIN);
  REQUIRE(sent > 0);
  CHECK(::fcntl(pair.server.get(), F_GETFD) >= 0);  // still the caller's
  for (int i = 0; i < sent; ++i) CHECK(take(inbox).has_value());
  CHECK_FALSE(take(inbox).has_value());
  CHECK(put_into_inbox(inbox.put.get(), {}, bytes, socket) == 0);
}

TEST_CASE("an inbox holds a worker's connections", "[control]") {
  const InboxEnds inbox = make();
  const Pair pair;
  const std::array socket{pair.server.get()};
  for (int i = 0; i < 150; ++i) REQUIRE(put_into_inbox(inbox.put.get(), {}, std::string(500, 'x'), socket) == 0);
}

TEST_CASE("a broken packet is an error, its descriptors are closed, and the next one is found", "[control]") {
  const InboxEnds inbox = make();
  const Pair pair;
  const int fd = pair.server.get();
  const int before = open_descriptors();
  const HandoverHeader good{};
  HandoverHeader of_other_version;
  of_other_version.version += 1;
  HandoverHeader too_long;
  too_long.length = 5;
  HandoverHeader without_file;
  without_file.has_body_file = 1;
  HandoverHeader of_strange_peer;
  of_strange_peer.peer.header = static_cast<PeerRecord::Header>(3);
  HandoverHeader with_half_a_bool;
  std::memset(&with_half_a_bool.peer.ends.is_tls, 2, 1);
  const std::vector<int> too_many(most_idle_in_packet + 2, fd);

  send_raw(inbox, "x", 1, {fd});
  send_raw(inbox, &of_other_version, sizeof good, {fd});
  send_raw(inbox, &too_long, sizeof good, {fd});
  send_raw(inbox, &without_file, sizeof good, {fd});
  send_raw(inbox, &of_strange_peer, sizeof good, {fd});
  send_raw(inbox, &with_half_a_bool, sizeof good, {fd});
  send_raw(inbox, &good, sizeof good, {});
  send_raw(inbox, &good, sizeof good, too_many);
  const std::string huge(most_bytes_in_packet + sizeof good + 1, 'x');
  send_raw(inbox, huge.data(), huge.size(), {fd});
  for (int i = 0; i < 9; ++i) {
    CAPTURE(i);
    CHECK_FALSE(take_from_inbox(inbox.take.get()).has_value());
    CHECK(open_descriptors() == before);
  }

  REQUIRE(put_into_inbox(inbox.put.get(), {}, "next", std::array{fd}) == 0);
  CHECK(take(inbox)->bytes == "next");
}

TEST_CASE("a process without a descriptor left gets an error, and the packet stays for others", "[control]") {
  const InboxEnds inbox = make();
  const Pair one;
  const Pair other;
  REQUIRE(put_into_inbox(inbox.put.get(), {}, {}, std::array{one.server.get(), other.server.get()}) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const int lowest = ::dup(0);
    ::close(lowest);
    const rlimit limit{static_cast<rlim_t>(lowest + 1), static_cast<rlim_t>(lowest + 1)};
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) ::_exit(1);
    const auto taken = take_from_inbox(inbox.take.get());
    if (taken.has_value() || taken.error().code.value() != EMFILE) ::_exit(2);
    ::_exit(::dup(0) == lowest ? 0 : 3);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  CHECK(take(inbox)->sockets.size() == 2);
}

// Which came from anywhere but the inbox.
TEST_CASE("a process with few descriptors left takes no packet that it could not hold", "[control]") {
  const InboxEnds inbox = make();
  const std::vector<int> many(most_idle_in_packet, STDIN_FILENO);
  const auto put = [&] { REQUIRE(put_into_inbox(inbox.put.get(), {}, {}, many) == 0); };
  put(), put();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const UniqueFd lowest(::dup(STDIN_FILENO));
    const rlim_t end = static_cast<rlim_t>(lowest.get()) + 300;
    const rlimit limit{end, end};
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) ::_exit(1);
    if (!take_from_inbox(inbox.take.get()).has_value()) ::_exit(2);
    for (int number = ::dup(STDIN_FILENO); number < static_cast<int>(end) - 20;) number = ::dup(STDIN_FILENO);
    const auto taken = take_from_inbox(inbox.take.get());
    ::_exit(!taken.has_value() && taken.error().code.value() == EMFILE ? 0 : 3);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  CHECK(take(inbox)->sockets.size() == many.size());
}

TEST_CASE("an inbox that nobody can put into any more is told apart from an empty one", "[control]") {
  InboxEnds inbox = make();
  inbox.put.reset();
  const auto taken = take_from_inbox(inbox.take.get());
  REQUIRE_FALSE(taken.has_value());
  CHECK(taken.error().code.value() == ECONNRESET);
}
