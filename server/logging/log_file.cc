#include "server/logging/log_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <system_error>
#include <utility>

namespace stint::logging {

namespace {
constexpr std::size_t most_in_file = 32 * 1024;
constexpr mode_t log_mode = 0640;
// After a write that waited no other one does for so long: a reader that is too slow would take all of the time.
constexpr std::chrono::seconds rest_of_patience{30};

mode_t type_of(int file) {
  struct stat status{};
  return ::fstat(file, &status) == 0 ? status.st_mode & S_IFMT : 0;
}

// One that has a name. What has none (/dev/stdout may be one) is others' as well, and they want to see its reader go.
bool is_named_pipe(int file) {
  struct statfs system{};
  return type_of(file) == S_IFIFO && ::fstatfs(file, &system) == 0 && system.f_type != PIPEFS_MAGIC;
}
}  // namespace

int open_for_lines(const char* path) {
  constexpr int flags = O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
  const int file = ::open(path, O_WRONLY | flags, log_mode);
  const int error = errno;
  if (file < 0 && error != ENXIO) return file;
  const int place = ::open(path, O_PATH | O_CLOEXEC);  // ENXIO: nobody reads it yet
  const int both_ends = place >= 0 && is_named_pipe(place) ? ::open(path, O_RDWR | flags, log_mode) : -1;
  if (place >= 0) ::close(place);
  if (both_ends < 0) {
    errno = error;
    return file;
  }
  if (file >= 0) ::close(file);
  return both_ends;
}

Result<LogFile> LogFile::open(const std::string& path, int standard) {
  if (path == "-") return LogFile(standard);
  std::error_code told_by_open;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), told_by_open);
  UniqueFd file(open_for_lines(path.c_str()));
  if (!file.is_open()) return system_error("open " + path);
  return LogFile(std::move(file));
}

// An application may put another file in the place of standard error.
LogFile::Kind LogFile::kind() const {
  const mode_t type = type_of(file_);
  return type == S_IFIFO ? Kind::pipe : type == S_IFSOCK ? Kind::socket : Kind::file;
}

// O_NONBLOCK on standard output would not be ours alone: whoever has the same one has it as well. Linux before 6.4 does
// not know RWF_NOWAIT for pipes; there we look before, and have to wait only where another process takes the last room
// in between.
ssize_t LogFile::write_some(Kind kind, std::string_view bytes) const {
  switch (kind) {
    case Kind::file:
      break;
    case Kind::socket:
      return ::send(file_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    case Kind::pipe: {
      const iovec part{.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
      const ssize_t written = ::pwritev2(file_, &part, 1, -1, RWF_NOWAIT);
      if (written >= 0 || errno == EAGAIN) return written;
      if (!awaits_room(std::chrono::steady_clock::now())) {
        errno = EAGAIN;
        return -1;
      }
    }
  }
  return ::write(file_, bytes.data(), bytes.size());
}

bool LogFile::awaits_room(std::chrono::steady_clock::time_point until) const {
  pollfd writable{.fd = file_, .events = POLLOUT, .revents = 0};
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    const int ready = ::poll(&writable, 1, static_cast<int>(std::max<std::int64_t>(0, left.count())));
    if (ready >= 0 || errno != EINTR) return ready != 0;
  }
}

std::uint64_t LogFile::write(std::string_view lines, std::chrono::milliseconds patience) {
  std::string mended;
  if (is_cut_) lines = mended = "\n" + std::string(lines);
  const Kind its = kind();
  // Longer writes to a pipe may be mixed with those of other processes (pipe(7)).
  const std::size_t most = its == Kind::pipe ? PIPE_BUF : most_in_file;
  const auto began = std::chrono::steady_clock::now();
  std::string_view rest = lines;
  while (!rest.empty()) {
    std::size_t part = rest.size();
    if (part > most) {
      const std::size_t line_end = rest.rfind('\n', most - 1);
      part = line_end != std::string_view::npos ? line_end + 1 : std::min(part, rest.find('\n') + 1);
      if (its == Kind::pipe) part = std::min(part, most);
    }
    const ssize_t written = write_some(its, rest.substr(0, part));
    if (written <= 0) {
      error_ = errno;
      if (written < 0 && (error_ == EINTR || (error_ == EAGAIN && may_wait(began, patience)))) continue;
      if (rest.front() == '\n') rest.remove_prefix(1);  // the end of a line that was cut before
      return static_cast<std::uint64_t>(std::count(rest.begin(), rest.end(), '\n'));
    }
    is_cut_ = rest[static_cast<std::size_t>(written) - 1] != '\n';
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

// Waits for room, until the patience of a write that began then is over. True: there is some.
bool LogFile::may_wait(std::chrono::steady_clock::time_point began, std::chrono::milliseconds patience) {
  const bool waits_already = waited_for_ == began;
  if (!waits_already && waited_for_ && began < *waited_for_ + rest_of_patience) return false;
  const auto until = began + patience;
  if (std::chrono::steady_clock::now() >= until) return false;
  waited_for_ = began;
  return awaits_room(until);
}

Error LogFile::error() const {
  if (error_ == EAGAIN) return error_because("there is no room: nobody reads it, or too slowly");
  return system_error("write", error_);
}

}  // namespace stint::logging
