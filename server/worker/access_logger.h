// Writes access log lines of this worker: collected for up to 100 ms or 32 KiB, then written in whole lines, because
// several workers append to one file. A log that cannot be written never stops the serving: lines are dropped and
// counted (logging::LogFile).
#pragma once

#include "server/http/access_log.h"
#include "server/logging/log_file.h"
#include "server/worker/deadlines.h"
#include "server/worker/event_loop.h"
#include "stint/log.h"
#include "stint/result.h"
#include "stint/settings.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace stint::worker {

class AccessLogger final : private Timed {
 public:
  // Error: the format is wrong or the file cannot be opened ("open /var/log/stint/access.log: Permission denied").
  static Result<std::unique_ptr<AccessLogger>> make(const LogSettings& settings, EventLoop& loop, Log& log);
  ~AccessLogger() { flush(); }

  bool is_on() const { return format_.has_value(); }
  void log(const http::AccessEntry& entry, TimePoint now);
  void flush();
  // After log rotation: opens the path anew; on failure the old file stays in use.
  void reopen();

 private:
  AccessLogger(const LogSettings& settings, EventLoop& loop, Log& log) : settings_(settings), log_(log) {
    loop.add(flushing_);
  }
  void on_deadline() override { flush(); }

  const LogSettings& settings_;
  Log& log_;
  DeadlineList flushing_{std::chrono::milliseconds(100)};
  std::optional<http::AccessLogFormat> format_;
  std::optional<logging::LogFile> file_;  // while it is on
  std::string lines_;
  std::uint64_t dropped_ = 0;  // lines, since all could be written; the first ones are told of
};

}  // namespace stint::worker
