// The log as every room sees it: a fixed message and facts as fields, so that lines can be searched.
//
//   log.warning("worker died", {{"pool", "site"}, {"worker", 3}, {"signal", "SIGSEGV"}, {"next", "restart in 1s"}});
//
// Who decides, logs, and logs once: supervisor, worker and main. net, http, control and config return instead.
// embed logs only what the application itself wrote (wsgi.errors). Thread-safe; never throws; never blocks on
// anything but the write itself.
#pragma once

#include <chrono>
#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>

namespace stint {

enum class LogLevel { debug, info, warning, error };

// One fact of a log line. The name is the TOML's and the metrics' name for the same thing.
struct LogField {
  std::string_view name;
  std::string value;

  LogField(std::string_view n, std::string_view v) : name(n), value(v) {}
  LogField(std::string_view n, std::string v) : name(n), value(std::move(v)) {}
  LogField(std::string_view n, const char* v) : name(n), value(v) {}
  template <std::integral T>
  LogField(std::string_view n, T v) : name(n), value(std::to_string(v)) {}
  template <class Rep, class Period>
  LogField(std::string_view n, std::chrono::duration<Rep, Period> v)
      : name(n), value(std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(v).count()) + "ms") {}
};

class Log {
 public:
  virtual ~Log() = default;

  // `detail` is text of several lines that belongs to the line (a traceback); it follows as it is.
  virtual void write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields,
                     std::string_view detail = {}) = 0;
  virtual bool is_on(LogLevel level) const = 0;

  void debug(std::string_view message, std::initializer_list<LogField> fields = {}) {
    if (is_on(LogLevel::debug)) write(LogLevel::debug, message, fields);
  }
  void info(std::string_view message, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::info, message, fields);
  }
  void warning(std::string_view message, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::warning, message, fields);
  }
  void error(std::string_view message, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::error, message, fields);
  }
};

}  // namespace stint
