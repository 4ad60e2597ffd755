#include "server/worker/access_logger.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <utility>

namespace stint::worker {

namespace {
constexpr std::size_t collected_most = 32 * 1024;
}

Result<std::unique_ptr<AccessLogger>> AccessLogger::make(const LogSettings& settings, EventLoop& loop, Log& log) {
  std::unique_ptr<AccessLogger> logger(new AccessLogger(settings, loop, log));
  if (settings.access.empty()) return logger;
  Result<http::AccessLogFormat> format = http::AccessLogFormat::compile(settings.format);
  if (!format.has_value()) return format.error();
  Result<UniqueFd> file = logger->open();
  if (!file.has_value()) return file.error();
  logger->format_ = std::move(*format);
  logger->use(std::move(*file));
  return logger;
}

Result<UniqueFd> AccessLogger::open() const {
  if (settings_.access == "-") return UniqueFd();
  UniqueFd file(::open(settings_.access.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640));
  if (!file.is_open()) return system_error("open " + settings_.access);
  return file;
}

void AccessLogger::use(UniqueFd file) {
  file_ = std::move(file);
  struct stat status{};
  is_pipe_ = ::fstat(file_.is_open() ? file_.get() : STDOUT_FILENO, &status) == 0 && S_ISFIFO(status.st_mode);
  // Longer writes to a pipe may be mixed with those of other workers (pipe(7)).
  most_ = is_pipe_ ? PIPE_BUF : collected_most;
}

void AccessLogger::log(const http::AccessEntry& entry, TimePoint now) {
  if (lines_.empty()) flushing_.arm(*this, now);
  format_->append_line(lines_, entry);
  if (lines_.size() >= collected_most) flush();
}

// A pipe is written without waiting for room in it. O_NONBLOCK would not be ours alone: whoever has the same standard
// output has it as well. Linux before 6.4 does not know RWF_NOWAIT for pipes; there we look before, and have to wait
// only where another worker takes the last room in between.
ssize_t AccessLogger::write_some(std::string_view bytes) const {
  const int file = file_.is_open() ? file_.get() : STDOUT_FILENO;
  if (is_pipe_) {
    const iovec part{.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
    const ssize_t written = ::pwritev2(file, &part, 1, -1, RWF_NOWAIT);
    if (written >= 0 || errno == EAGAIN) return written;
    pollfd writable{.fd = file, .events = POLLOUT, .revents = 0};
    if (::poll(&writable, 1, 0) == 0) {
      errno = EAGAIN;
      return -1;
    }
  }
  return ::write(file, bytes.data(), bytes.size());
}

void AccessLogger::flush() {
  disarm();
  if (is_cut_) lines_.insert(0, 1, '\n');
  std::string_view rest = lines_;
  while (!rest.empty()) {
    std::size_t part = rest.size();
    if (part > most_) {
      const std::size_t line_end = rest.rfind('\n', most_ - 1);
      part = line_end != std::string_view::npos ? line_end + 1 : std::min(part, rest.find('\n') + 1);
      if (is_pipe_) part = std::min(part, most_);
    }
    const ssize_t written = write_some(rest.substr(0, part));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      drop(rest, errno);
      return lines_.clear();
    }
    is_cut_ = rest[static_cast<std::size_t>(written) - 1] != '\n';
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  if (dropped_ > 0 && !lines_.empty()) log_.info("access log written again", {{"dropped", std::exchange(dropped_, 0)}});
  lines_.clear();
}

void AccessLogger::drop(std::string_view rest, int error) {
  if (dropped_ == 0) {
    const std::string reason =
        error == EAGAIN ? "its pipe is full: nobody reads it, or too slowly" : system_error("write", error).text();
    log_.warning("access log not written", {{"error", reason}, {"next", "lines are dropped until it works again"}});
  }
  if (rest.front() == '\n') rest.remove_prefix(1);  // the end of a line that was cut before
  dropped_ += static_cast<std::uint64_t>(std::count(rest.begin(), rest.end(), '\n'));
}

void AccessLogger::reopen() {
  if (!is_on()) return;
  flush();
  Result<UniqueFd> file = open();
  if (file.has_value()) return use(std::move(*file));
  log_.warning("access log not reopened", {{"error", file.error().text()}, {"next", "the old file stays in use"}});
}

}  // namespace stint::worker
