#include "server/worker/access_logger.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>

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
  const bool is_pipe = ::fstat(file_.is_open() ? file_.get() : STDOUT_FILENO, &status) == 0 && S_ISFIFO(status.st_mode);
  // Longer writes to a pipe may be mixed with those of other workers (pipe(7)).
  most_ = is_pipe ? PIPE_BUF : collected_most;
}

void AccessLogger::log(const http::AccessEntry& entry, TimePoint now) {
  if (lines_.empty()) flushing_.arm(*this, now);
  format_->append_line(lines_, entry);
  if (lines_.size() >= collected_most) flush();
}

void AccessLogger::flush() {
  disarm();
  std::string_view rest = lines_;
  while (!rest.empty()) {
    std::size_t part = rest.size();
    if (part > most_) {
      const std::size_t line_end = rest.rfind('\n', most_ - 1);
      part = line_end == std::string_view::npos ? std::min(rest.size(), rest.find('\n') + 1) : line_end + 1;
    }
    const ssize_t written = ::write(file_.is_open() ? file_.get() : STDOUT_FILENO, rest.data(), part);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      if (!has_failed_)
        log_.warning("access log not written",
                     {{"error", system_error("write").text()}, {"next", "lines are dropped until it works again"}});
      has_failed_ = true;
      break;
    }
    has_failed_ = false;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  lines_.clear();
}

void AccessLogger::reopen() {
  if (!is_on()) return;
  flush();
  Result<UniqueFd> file = open();
  if (file.has_value()) return use(std::move(*file));
  log_.warning("access log not reopened", {{"error", file.error().text()}, {"next", "the old file stays in use"}});
}

}  // namespace stint::worker
