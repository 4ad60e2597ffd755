#include "server/worker/output_queue.h"

#include "tests/support/catch.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <thread>

using stint::BodyChunk;
using stint::UniqueFd;
using stint::worker::OutputQueue;

namespace {

struct Pair {
  Pair() {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    ours.reset(fds[0]);
    theirs.reset(fds[1]);
  }
  std::string read_all() {
    std::string got;
    char part[65536];
    for (ssize_t n = 0; (n = ::recv(theirs.get(), part, sizeof part, MSG_DONTWAIT)) > 0;)
      got.append(part, static_cast<std::size_t>(n));
    return got;
  }
  UniqueFd ours, theirs;
};

struct Owner {
  int retained = 0;
  int released = 0;
  BodyChunk chunk(std::string_view bytes) {
    return {bytes, this, [](void* o) { ++static_cast<Owner*>(o)->retained; },
            [](void* o) { ++static_cast<Owner*>(o)->released; }};
  }
};

UniqueFd file_with(std::string_view text) {
  UniqueFd file(::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  REQUIRE(file.is_open());
  REQUIRE(::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  return file;
}

// A peer that takes everything as it comes, until the other side ends.
class Drain {
 public:
  explicit Drain(int socket) : socket_(socket), thread_([this] { run(); }) {}
  ~Drain() {
    ::shutdown(socket_, SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
  }
  std::uint64_t taken() {  // REQUIRES: the other side has ended
    thread_.join();
    return taken_;
  }

 private:
  void run() {
    std::array<char, 256 * 1024> part;
    for (;;) {
      const ssize_t got = ::recv(socket_, part.data(), part.size(), 0);
      if (got > 0) taken_ += static_cast<std::uint64_t>(got);
      if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return;
      pollfd readable{.fd = socket_, .events = POLLIN, .revents = 0};
      if (got < 0) ::poll(&readable, 1, -1);
    }
  }
  const int socket_;
  std::uint64_t taken_ = 0;
  std::thread thread_;
};

}  // namespace

TEST_CASE("bytes, chunks and files leave in the order they were queued", "[worker]") {
  Pair pair;
  OutputQueue queue;
  Owner owner;
  const std::string large(100'000, 'L');
  queue.push(std::string_view("head "));
  queue.push(owner.chunk("small "));
  queue.push(owner.chunk(large));
  queue.push_file(file_with("0123456789"), 2, 5);
  queue.push(std::string_view(" end"));
  CHECK(queue.pending() == 5 + 6 + large.size() + 5 + 4);

  std::string got;
  for (int i = 0; i < 1000 && !queue.is_empty(); ++i) {
    REQUIRE(queue.send(pair.ours.get()).has_value());
    got += pair.read_all();
  }
  CHECK(got == "head small " + large + "23456 end");
  CHECK(queue.pending() == 0);
}

TEST_CASE("a large chunk is retained once and released once, when sent or when dropped", "[worker]") {
  Pair pair;
  Owner sent, dropped, small;
  const std::string large(20'000, 'x');
  {
    OutputQueue queue;
    queue.push(sent.chunk(large));
    REQUIRE(queue.send(pair.ours.get()).has_value());
    queue.push(dropped.chunk(large));
    queue.push(small.chunk("tiny"));
  }
  CHECK(sent.retained == 1);
  CHECK(sent.released == 1);
  CHECK(dropped.retained == 1);
  CHECK(dropped.released == 1);
  CHECK(small.retained == 0);
}

TEST_CASE("a client that does not read makes send say false, one that has gone makes it an error", "[worker]") {
  Pair pair;
  OutputQueue queue;
  Owner owner;
  const std::string huge(8 << 20, 'h');
  queue.push(owner.chunk(huge));
  const auto first = queue.send(pair.ours.get());
  REQUIRE(first.has_value());
  CHECK_FALSE(*first);
  CHECK(queue.sent() > 0);
  CHECK(queue.pending() == huge.size() - queue.sent());

  pair.theirs.reset();
  CHECK_FALSE(queue.send(pair.ours.get()).has_value());
  CHECK_FALSE(queue.has_file_failed());
}

TEST_CASE("a file that became shorter is an error, not an endless wait", "[worker]") {
  Pair pair;
  OutputQueue queue;
  queue.push_file(file_with("abc"), 0, 10);
  CHECK_FALSE(queue.send(pair.ours.get()).has_value());
  CHECK(queue.has_file_failed());
}

TEST_CASE("a client that reads as fast as we send gets a bounded part at a time", "[worker]") {
  constexpr std::uint64_t size = 64 << 20;
  const std::string bytes(size / 4, 'b');
  Owner owner;
  Pair pair;
  Drain drain(pair.theirs.get());
  OutputQueue queue;
  const bool is_file = GENERATE(true, false);
  if (is_file) {
    UniqueFd file = file_with("");
    REQUIRE(::ftruncate(file.get(), size) == 0);
    queue.push_file(std::move(file), 0, size);
  } else {
    for (int i = 0; i < 4; ++i) queue.push(owner.chunk(bytes));
  }

  std::uint64_t most = 0;
  for (bool is_done = false; !is_done;) {
    const std::uint64_t before = queue.sent();
    const auto sent = queue.send(pair.ours.get());
    if (!sent.has_value()) break;
    is_done = *sent;
    most = std::max(most, queue.sent() - before);
    pollfd writable{.fd = pair.ours.get(), .events = POLLOUT, .revents = 0};
    ::poll(&writable, 1, -1);
  }
  pair.ours.reset();
  CHECK(most > 0);
  CHECK(most <= OutputQueue::sent_at_once);
  CHECK(queue.is_empty());
  CHECK(drain.taken() == size);
}

// Where memory runs out while it is written.
TEST_CASE("what was begun and not committed is no part of the answer", "[worker]") {
  Pair pair;
  OutputQueue queue;
  queue.owned() += "HTTP/1.1 200 OK\r\nX-Long: aaa";
  queue.push(std::string_view("HTTP/1.1 500 "));
  queue.owned() += "more of nothing";
  queue.push(std::string_view("Internal Server Error"));
  REQUIRE(queue.send(pair.ours.get()).has_value());
  CHECK(pair.read_all() == "HTTP/1.1 500 Internal Server Error");
}
