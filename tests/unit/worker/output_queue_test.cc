#include "server/worker/output_queue.h"

#include "tests/support/catch.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <string>

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
}

TEST_CASE("a file that became shorter is an error, not an endless wait", "[worker]") {
  Pair pair;
  OutputQueue queue;
  queue.push_file(file_with("abc"), 0, 10);
  CHECK_FALSE(queue.send(pair.ours.get()).has_value());
}
