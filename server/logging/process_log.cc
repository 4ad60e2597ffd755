#include "server/logging/process_log.h"

#include "stint/unique_fd.h"

#include <fcntl.h>
#include <pthread.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <filesystem>
#include <mutex>
#include <system_error>
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

// spdlog would let everybody read a new one. What goes wrong here it meets again, and says.
void make_file(const std::string& path) {
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0640));
}

}  // namespace

ProcessLog::ProcessLog(LogSettings settings, std::string who)
    : settings_(std::move(settings)), who_(std::move(who)), level_(settings_.level) {
  hold_while_forking();
}
ProcessLog::~ProcessLog() = default;

Result<std::unique_ptr<ProcessLog>> ProcessLog::open(const LogSettings& settings, std::string who) {
  std::unique_ptr<ProcessLog> log(new ProcessLog(settings, std::move(who)));
  if (const Result<void> opened = log->open_sink(); !opened.has_value()) return opened.error();
  return log;
}

Result<void> ProcessLog::open_sink() {
  try {
    spdlog::sink_ptr sink;
    if (settings_.error == "-") {
      sink = std::make_shared<spdlog::sinks::stderr_sink_st>();
    } else {
      make_file(settings_.error);
      sink = std::make_shared<spdlog::sinks::basic_file_sink_st>(settings_.error);
    }
    auto logger = std::make_shared<spdlog::logger>(who_, std::move(sink));
    logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %l %n[%P]: %v");
    logger->set_level(spdlog_level(level_));
    logger->flush_on(spdlog::level::trace);
    const std::lock_guard lock(writing);
    logger_ = std::move(logger);
    return {};
  } catch (const spdlog::spdlog_ex& failure) {
    return error_because(std::string("open the log ") + settings_.error + ": " + failure.what());
  }
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

void ProcessLog::become(std::string who) {
  who_ = std::move(who);
  if (const Result<void> opened = open_sink(); !opened.has_value())
    warning("log not opened", {{"error", opened.error().text()}, {"next", "the zygote's stays in use"}});
}

void ProcessLog::reopen() {
  if (settings_.error == "-") return;
  if (const Result<void> opened = open_sink(); !opened.has_value()) {
    warning("log not reopened", {{"error", opened.error().text()}, {"next", "the old file stays in use"}});
  }
}

void ProcessLog::reopen(const LogSettings& settings) {
  const LogSettings before = std::exchange(settings_, settings);
  level_ = settings.level;
  const Result<void> opened = open_sink();
  if (opened.has_value()) return;
  settings_.error = before.error;
  warning("log not opened", {{"error", opened.error().text()}, {"next", "the old file stays in use"}});
}

}  // namespace stint::logging
