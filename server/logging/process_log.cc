#include "server/logging/process_log.h"

#include "server/logging/log_file.h"

#include <pthread.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <mutex>
#include <utility>

namespace stint::logging {

namespace {

// Of the process, as its forks are.
std::mutex writing;

void hold_while_forking() {
  static std::once_flag once;
  std::call_once(once, [] {
    const auto release = [] { writing.unlock(); };
    ::pthread_atfork([] { writing.lock(); }, release, release);
  });
}

void append_escaped(std::string& out, std::string_view text, std::string_view kept_controls, bool is_quoted) {
  static constexpr char digits[] = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 || byte == 0x7f) && kept_controls.find(c) == std::string_view::npos) {
      out.append("\\x").push_back(digits[byte >> 4]);
      out.push_back(digits[byte & 15]);
      continue;
    }
    if (is_quoted && (c == '"' || c == '\\')) out.push_back('\\');
    out.push_back(c);
  }
}

void append_value(std::string& out, std::string_view value) {
  if (!value.empty() && value.find_first_of(" =\"\\\t\r\n") == std::string_view::npos) {
    return append_escaped(out, value, {}, false);
  }
  out.push_back('"');
  append_escaped(out, value, {}, true);
  out.push_back('"');
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

constexpr std::chrono::milliseconds patience{1000};

// Locked by ProcessLog.
class LineSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  // `before`: whose lines that were dropped are still to be told of.
  LineSink(LogFile file, const LineSink* before)
      : file_(std::move(file)),
        dropped_(before != nullptr ? before->dropped_ : 0),
        why_(before != nullptr ? before->why_ : "") {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t text;
    if (dropped_ > 0) {
      const std::string notice = "log lines dropped  dropped=" + std::to_string(dropped_) + why_;
      formatter_->format({message.logger_name, spdlog::level::warn, notice}, text);
    }
    formatter_->format(message, text);
    if (file_.write({text.data(), text.size()}, patience) == 0) {
      dropped_ = 0;
      return;
    }
    ++dropped_;
    why_ = " error=";
    append_value(why_, file_.error().text());
  }
  void flush_() override {}

  LogFile file_;
  std::uint64_t dropped_;  // entries, since one could be written
  std::string why_;
};

}  // namespace

ProcessLog::ProcessLog(std::string who) : who_(std::move(who)) { hold_while_forking(); }
ProcessLog::~ProcessLog() = default;

Result<std::unique_ptr<ProcessLog>> ProcessLog::open(const LogSettings& settings, std::string who, UniqueFd file) {
  std::unique_ptr<ProcessLog> log(new ProcessLog(std::move(who)));
  if (const Result<void> used = log->change(settings, std::move(file)); !used.has_value()) return used.error();
  return log;
}

Result<void> ProcessLog::change(const LogSettings& settings, UniqueFd file) {
  Result<LogFile> opened = file.is_open() ? LogFile(std::move(file)) : LogFile::open(settings.error, STDERR_FILENO);
  if (!opened.has_value()) return opened.error();
  const std::lock_guard lock(writing);
  const auto* before = logger_ ? static_cast<const LineSink*>(logger_->sinks().front().get()) : nullptr;
  auto logger = std::make_shared<spdlog::logger>(who_, std::make_shared<LineSink>(std::move(*opened), before));
  logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %l %n[%P]: %v");
  logger->set_level(spdlog_level(settings.level));
  logger_ = std::move(logger);
  settings_ = settings;
  level_ = settings.level;
  return {};
}

void ProcessLog::write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields,
                       std::string_view detail) {
  std::string line(message);
  bool is_first = true;
  for (const LogField& field : fields) {
    line.append(is_first ? "  " : " ").append(field.name).push_back('=');
    is_first = false;
    append_value(line, field.value);
  }
  if (!detail.empty()) {
    line.push_back('\n');
    while (detail.ends_with('\n')) detail.remove_suffix(1);
    append_escaped(line, detail, "\n\t", false);
  }
  const std::lock_guard lock(writing);
  logger_->log(spdlog_level(level), spdlog::string_view_t(line.data(), line.size()));
}

void ProcessLog::open_anew() {
  if (const Result<void> opened = change(settings_); !opened.has_value())
    warning("log not opened", {{"error", opened.error().text()}, {"next", "the old one stays in use"}});
}

void ProcessLog::become(std::string who) {
  who_ = std::move(who);
  open_anew();
}

void ProcessLog::reopen() {
  if (settings_.error != "-") open_anew();
}

}  // namespace stint::logging
