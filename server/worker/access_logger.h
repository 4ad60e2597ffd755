// Writes access log lines of this worker: collected for up to 100 ms or 32 KiB, then written in whole lines, because
// several workers append to one file. A log that cannot be written never stops the serving: lines are dropped and
// counted, also where it is a pipe that nobody reads.
#pragma once

#include "server/http/access_log.h"
#include "server/worker/deadlines.h"
#include "server/worker/event_loop.h"
#include "stint/log.h"
#include "stint/result.h"
#include "stint/settings.h"
#include "stint/unique_fd.h"

#include <sys/types.h>

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
  Result<UniqueFd> open() const;
  void use(UniqueFd file);
  ssize_t write_some(std::string_view bytes) const;
  void drop(std::string_view rest, int error);
  void on_deadline() override { flush(); }

  const LogSettings& settings_;
  Log& log_;
  DeadlineList flushing_{std::chrono::milliseconds(100)};
  std::optional<http::AccessLogFormat> format_;
  UniqueFd file_;  // not open for "-": stdout
  bool is_pipe_ = false;
  std::size_t most_ = 0;  // bytes in one write
  std::string lines_;
  std::uint64_t dropped_ = 0;  // lines, since all could be written; the first ones are told of
  bool is_cut_ = false;        // of the last line written only a part
};

}  // namespace stint::worker
