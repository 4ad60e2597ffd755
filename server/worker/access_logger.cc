#include "server/worker/access_logger.h"

#include <unistd.h>

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
  Result<logging::LogFile> file = logging::LogFile::open(settings.access, STDOUT_FILENO);
  if (!file.has_value()) return file.error();
  logger->format_ = std::move(*format);
  logger->file_ = std::move(*file);
  return logger;
}

void AccessLogger::log(const http::AccessEntry& entry, TimePoint now) {
  if (lines_.empty()) flushing_.arm(*this, now);
  format_->append_line(lines_, entry);
  if (lines_.size() >= collected_most) flush();
}

void AccessLogger::flush() {
  disarm();
  if (lines_.empty()) return;
  const std::uint64_t dropped = file_->write(lines_);
  lines_.clear();
  if (dropped > 0 && dropped_ == 0)
    log_.warning("access log not written",
                 {{"error", file_->error().text()}, {"next", "lines are dropped until it works again"}});
  if (dropped == 0 && dropped_ > 0) log_.info("access log written again", {{"dropped", std::exchange(dropped_, 0)}});
  dropped_ += dropped;
}

void AccessLogger::reopen() {
  if (!is_on()) return;
  flush();
  Result<logging::LogFile> file = logging::LogFile::open(settings_.access, STDOUT_FILENO);
  if (file.has_value()) return void(file_ = std::move(*file));
  log_.warning("access log not reopened", {{"error", file.error().text()}, {"next", "the old file stays in use"}});
}

}  // namespace stint::worker
