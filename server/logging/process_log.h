// The log of one of our processes, on spdlog: who says it, a fixed message, facts as fields, one line each.
//
//   2026-03-01 12:00:00.123 warning supervisor[4100]: worker died  pool=site worker=3 next="restart in 1s"
//
// Several processes append to one file; each line is one write. Values are quoted where they would not read as one
// word, and control characters are escaped, so that no client and no application can forge a line. Where a line cannot
// be written within a second it is dropped, as the next ones are until one can be; that one says how many.
//
// Any thread may write and reopen. A child that the application forks may write, too: no thread is in the middle of a
// line when it is forked.
#pragma once

#include "stint/log.h"
#include "stint/result.h"
#include "stint/settings.h"
#include "stint/unique_fd.h"

#include <atomic>
#include <memory>
#include <string>

namespace spdlog {
class logger;
}

namespace stint::logging {

class ProcessLog final : public Log {
 public:
  // `who`: "supervisor", "worker site/3". `file`: that of log.error, where somebody has opened it. Error: it cannot be
  // opened.
  static Result<std::unique_ptr<ProcessLog>> open(const LogSettings& settings, std::string who, UniqueFd file = {});
  ~ProcessLog() override;

  void write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields,
             std::string_view detail) override;
  bool is_on(LogLevel level) const override { return level >= level_; }
  // In a process that has been forked: the log of another from here on, opened anew like after a rotation.
  void become(std::string who);
  // After log rotation: opens the path anew; on failure the old file stays in use, and says so.
  void reopen();
  // These settings count from here on. `file`: as of open(). Error: it cannot be opened, and the old ones count. Not
  // while another thread writes.
  Result<void> change(const LogSettings& settings, UniqueFd file = {});

 private:
  explicit ProcessLog(std::string who);
  void open_anew();

  LogSettings settings_;
  std::string who_;
  std::atomic<LogLevel> level_{LogLevel::info};  // of them; others look while it is opened anew
  std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace stint::logging
