#include "server/logging/log_file.h"

#include "tests/support/catch.h"
#include "tests/support/read_all.h"
#include "tests/support/temporary_folder.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <utility>

using namespace stint;
using namespace stint::logging;
using namespace stint::test;

namespace {

LogFile open_file(const std::string& path) {
  Result<LogFile> file = LogFile::open(path, STDOUT_FILENO);
  REQUIRE(file.has_value());
  return std::move(*file);
}

// The end that is written may block, as the standard output that we were given may.
struct Ends {
  UniqueFd read;
  UniqueFd written;
  static Ends of(const int (&ends)[2]) {
    REQUIRE(::fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
  }
  static Ends pipe() {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    REQUIRE(::fcntl(ends[1], F_SETPIPE_SZ, 4096) >= 4096);
    return of(ends);
  }
  static Ends sockets() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    return of(ends);
  }
};

std::uint64_t fill(LogFile& log) {
  std::uint64_t written = 0;
  while (log.write("the same line again and again\n") == 0) ++written;
  return written;
}

TEST_CASE("a log is made with its folders, for nobody else to read, and written at its end", "[logging]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("logs/of/site.log");
  CHECK(open_file(path).write("one\n") == 0);
  CHECK(open_file(path).write("two\n") == 0);
  struct stat status{};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0137) == 0);
  CHECK(status.st_size == 8);
}

TEST_CASE("a log that cannot be opened is told with its path", "[logging]") {
  const Result<LogFile> file = LogFile::open("/proc/no/such.log", STDOUT_FILENO);
  REQUIRE_FALSE(file.has_value());
  CHECK(file.error().text() == "open /proc/no/such.log: No such file or directory");
}

TEST_CASE("whoever reads a pipe or a socket and stops stops nobody", "[logging]") {
  for (const bool is_socket : {false, true}) {
    CAPTURE(is_socket);
    const Ends ends = is_socket ? Ends::sockets() : Ends::pipe();
    LogFile log{UniqueFd(::dup(ends.written.get()))};
    const std::uint64_t written = fill(log);
    CHECK(written > 0);
    CHECK(log.error().text() == "there is no room: nobody reads it, or too slowly");
    CHECK(log.write("the same line again and again\nand one more\n") == 2);

    std::string text = read_all(ends.read.get());
    CHECK(log.write("the last\n") == 0);
    text += read_all(ends.read.get());
    CHECK(text.ends_with("\nthe last\n"));
    CHECK(static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n')) >= written + 1);
    CHECK((::fcntl(ends.written.get(), F_GETFL) & O_NONBLOCK) == 0);  // it is others' as well
  }
}

TEST_CASE("room is waited for, and then not again for long, whether there was some or not", "[logging]") {
  using clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds patience{100};
  const Ends ends = Ends::pipe();
  LogFile log{UniqueFd(::dup(ends.written.get()))};
  const auto time_to_drop = [&log, patience] {
    for (;;) {
      const auto began = clock::now();
      if (log.write("the same line again and again\n", patience) > 0) return clock::now() - began;
    }
  };
  CHECK(time_to_drop() >= patience);
  auto shortest = time_to_drop();
  for (int i = 0; i < 20; ++i) shortest = std::min(shortest, time_to_drop());
  CHECK(shortest < patience);

  read_all(ends.read.get());
  CHECK(time_to_drop() < std::chrono::seconds(20));
  shortest = time_to_drop();
  for (int i = 0; i < 20; ++i) {
    read_all(ends.read.get());
    shortest = std::min(shortest, time_to_drop());
  }
  CHECK(shortest < patience);
}

TEST_CASE("a line that there is room for in time is written", "[logging]") {
  const Ends ends = Ends::pipe();
  LogFile log{UniqueFd(::dup(ends.written.get()))};
  fill(log);
  std::string text;
  std::thread reader([&ends, &text] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    text = read_all(ends.read.get());  // what is written meanwhile may come with it
  });
  CHECK(log.write("in time, and at the end\n", std::chrono::minutes(1)) == 0);
  reader.join();
  text += read_all(ends.read.get());
  CHECK(text.ends_with("in time, and at the end\n"));
}

TEST_CASE("a pipe without a name is opened at its writing end only, so that its reader's end is seen", "[logging]") {
  const Ends ends = Ends::pipe();
  const UniqueFd file(open_for_lines(("/proc/self/fd/" + std::to_string(ends.written.get())).c_str()));
  REQUIRE(file.is_open());
  CHECK((::fcntl(file.get(), F_GETFL) & O_ACCMODE) == O_WRONLY);
}

TEST_CASE("what an application puts in the place of a standard stream gets the lines", "[logging]") {
  const TemporaryFolder folder;
  const Ends ends = Ends::sockets();
  const int number = ::dup(ends.written.get());
  LogFile log{UniqueFd(number)};
  CHECK(log.write("to the socket\n") == 0);
  const UniqueFd file(::open(folder.file("lines").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(::dup3(file.get(), number, O_CLOEXEC) == number);
  CHECK(log.write("to the file\n") == 0);
  CHECK(read_all(ends.read.get()) == "to the socket\n");
  REQUIRE(::lseek(file.get(), 0, SEEK_SET) == 0);
  CHECK(read_all(file.get()) == "to the file\n");
}

TEST_CASE("a line that had to be cut is ended before the next", "[logging]") {
  const Ends ends = Ends::pipe();
  LogFile log{UniqueFd(::dup(ends.written.get()))};
  CHECK(log.write(std::string(6'000, 'x') + "\n") == 1);
  std::string text = read_all(ends.read.get());
  CHECK(log.write("next\n") == 0);
  text += read_all(ends.read.get());
  CHECK(text == std::string(4'096, 'x') + "\nnext\n");
}

TEST_CASE("lines wait in a named pipe for a reader that has yet to come, or comes back", "[logging]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("lines");
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  LogFile log = open_file(path);
  CHECK(log.write("before\n") == 0);
  {
    const UniqueFd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    CHECK(read_all(reader.get()) == "before\n");
  }
  CHECK(log.write("between\n") == 0);
  const UniqueFd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  CHECK(read_all(reader.get()) == "between\n");
}

TEST_CASE("a full disk drops lines and says so", "[logging]") {
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  REQUIRE(full.is_open());
  LogFile log{UniqueFd(::dup(full.get()))};
  CHECK(log.write("one\ntwo\n") == 2);
  CHECK(log.error().text() == "write: No space left on device");
}

}  // namespace
