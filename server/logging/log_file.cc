#include "server/logging/log_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

mode_t type_of(int file) {
  struct stat status{};
  return ::fstat(file, &status) == 0 ? status.st_mode & S_IFMT : 0;
}
}  // namespace

int open_for_lines(const char* path) {
  constexpr int flags = O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
  const int file = ::open(path, O_WRONLY | flags, log_mode);
  const int error = errno;
  if (file < 0 ? error != ENXIO : type_of(file) != S_IFIFO) return file;
  const int both_ends = ::open(path, O_RDWR | flags, log_mode);
  if (both_ends < 0) {  // it may be written only
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

LogFile::LogFile(int file) : file_(file) {
  const mode_t type = type_of(file);
  if (type == S_IFIFO) kind_ = Kind::pipe;
  if (type == S_IFSOCK) kind_ = Kind::socket;
  // Longer writes to a pipe may be mixed with those of other processes (pipe(7)).
  most_ = kind_ == Kind::pipe ? PIPE_BUF : most_in_file;
}

// O_NONBLOCK on standard output would not be ours alone: whoever has the same one has it as well. Linux before 6.4 does
// not know RWF_NOWAIT for pipes; there we look before, and have to wait only where another process takes the last room
// in between.
ssize_t LogFile::write_some(std::string_view bytes) const {
  switch (kind_) {
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
  const auto until = std::chrono::steady_clock::now() + patience;
  std::string_view rest = lines;
  while (!rest.empty()) {
    std::size_t part = rest.size();
    if (part > most_) {
      const std::size_t line_end = rest.rfind('\n', most_ - 1);
      part = line_end != std::string_view::npos ? line_end + 1 : std::min(part, rest.find('\n') + 1);
      if (kind_ == Kind::pipe) part = std::min(part, most_);
    }
    const ssize_t written = write_some(rest.substr(0, part));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN && is_patient_ && std::chrono::steady_clock::now() < until && awaits_room(until))
      continue;
    if (written <= 0) {
      error_ = errno;
      is_patient_ = false;
      if (rest.front() == '\n') rest.remove_prefix(1);  // the end of a line that was cut before
      return static_cast<std::uint64_t>(std::count(rest.begin(), rest.end(), '\n'));
    }
    is_patient_ = true;
    is_cut_ = rest[static_cast<std::size_t>(written) - 1] != '\n';
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

Error LogFile::error() const {
  if (error_ == EAGAIN) return error_because("there is no room: nobody reads it, or too slowly");
  return system_error("write", error_);
}

}  // namespace stint::logging
