#include "server/cli/control_commands.h"

#include "server/control/command.h"
#include "server/control/command_socket.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string_view>
#include <thread>
#include <vector>

namespace stint::cli {

namespace {

namespace json = boost::json;

int fail(const std::string& sentence) {
  std::fprintf(stderr, "stint: %s\n", sentence.c_str());
  return 1;
}

// The server's answer as text and as an object; an answer that says {"error": …} is an error here.
struct Answer {
  std::string text;
  json::object object;
};

Result<Answer> ask(const std::string& path, const control::Command& command) {
  auto text = control::ask(path, control::encode_command(command));
  if (!text) return text.error();
  boost::system::error_code code;
  json::value value = json::parse(*text, code);
  if (code || !value.is_object()) return error_because("the server at " + path + " answers what is no Stint's answer");
  if (const json::value* error = value.get_object().if_contains("error"); error != nullptr && error->is_string())
    return error_because(std::string(std::string_view(error->get_string())));
  return Answer{std::move(*text), std::move(value.get_object())};
}

std::string text_of(const json::value& value) {
  if (value.is_string()) return std::string(std::string_view(value.get_string()));
  if (value.is_number()) return std::to_string(value.to_number<std::int64_t>());
  return "-";
}

// 4321 → "1h 12m"; two units say enough.
std::string duration_text(double total_seconds) {
  const auto seconds = static_cast<std::int64_t>(total_seconds);
  const auto two = [](std::int64_t large, const char* unit, std::int64_t small, const char* small_unit) {
    return std::to_string(large).append(unit).append(" ").append(std::to_string(small)).append(small_unit);
  };
  if (seconds >= 86400) return two(seconds / 86400, "d", seconds % 86400 / 3600, "h");
  if (seconds >= 3600) return two(seconds / 3600, "h", seconds % 3600 / 60, "m");
  if (seconds >= 60) return two(seconds / 60, "m", seconds % 60, "s");
  return std::to_string(seconds).append("s");
}

std::string mebibytes_text(const json::value& bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MiB", bytes.to_number<double>() / (1 << 20));
  return text;
}

using Row = std::array<std::string, 9>;

// Columns as wide as their widest cell; all but the state are numbers and stand to the right.
void print_table(const std::vector<Row>& rows) {
  constexpr std::size_t state_column = 2;
  std::array<std::size_t, std::tuple_size_v<Row>> widths{};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - row[i].size(), ' ');
      line.append(i == 0 ? "" : "  ");
      line.append(i == state_column ? row[i] + padding : padding + row[i]);
    }
    std::printf("%s\n", line.c_str());
  }
}

void print_status(const json::object& status) {
  const json::object& pool = status.at("pool").as_object();
  std::string listen;
  for (const json::value& address : status.at("listen").as_array())
    listen.append(listen.empty() ? "" : ", ").append(text_of(address));
  std::printf("stint %s  %s  pid %s  up %s  supervisor %s\n", text_of(status.at("version")).c_str(),
              text_of(status.at("state")).c_str(), text_of(status.at("pid")).c_str(),
              duration_text(status.at("uptime_s").to_number<double>()).c_str(),
              mebibytes_text(status.at("supervisor").as_object().at("rss_bytes")).c_str());
  std::printf("listening on %s\n", listen.c_str());
  std::string recycled;
  for (const auto& [reason, count] : pool.at("recycled").as_object())
    recycled.append(recycled.empty() ? " (" : ", ").append(std::string_view(reason)).append(" ").append(text_of(count));
  if (!recycled.empty()) recycled.append(")");
  std::int64_t recycles = 0;
  for (const auto& entry : pool.at("recycled").as_object()) recycles += entry.value().to_number<std::int64_t>();
  std::printf("pool %s  generation %s  workers %s  recycled %lld%s  died %s\n\n", text_of(pool.at("name")).c_str(),
              text_of(pool.at("generation")).c_str(), text_of(pool.at("count")).c_str(),
              static_cast<long long>(recycles), recycled.c_str(), text_of(pool.at("restarts")).c_str());

  std::vector<Row> rows{{"SLOT", "PID", "STATE", "REQUESTS", "FAILED", "CONNECTIONS", "BUSY", "PRIVATE", "AGE"}};
  for (const json::value& value : pool.at("workers").as_array()) {
    const json::object& worker = value.as_object();
    const json::value& busy = worker.at("busy_ms");
    rows.push_back({text_of(worker.at("slot")), text_of(worker.at("pid")), text_of(worker.at("state")),
                    text_of(worker.at("requests")), text_of(worker.at("failures")), text_of(worker.at("connections")),
                    busy.is_null() ? "-" : text_of(busy).append("ms"), mebibytes_text(worker.at("private_bytes")),
                    duration_text(worker.at("age_s").to_number<double>())});
  }
  print_table(rows);
}

// The pidfd sees the end at once; the socket is asked as well, because a server in a container has another pid there
// than here.
void wait_until_gone(const std::string& path, pid_t pid) {
  if (const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); process.is_open()) {
    pollfd end{.fd = process.get(), .events = POLLIN, .revents = 0};
    while (::poll(&end, 1, 1000) == 0 && control::ask(path, control::encode_command(control::StatusCommand{}))) {
    }
  }
  while (control::ask(path, control::encode_command(control::StatusCommand{})))
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

}  // namespace

int run_status(const std::string& path, bool json) {
  const auto answer = ask(path, control::StatusCommand{});
  if (!answer) return fail(answer.error().text());
  if (json) {
    std::printf("%s\n", answer->text.c_str());
    return 0;
  }
  try {
    print_status(answer->object);
  } catch (const std::exception& exception) {  // another version's server may leave out what this one shows
    return fail(std::string("the server's status lacks something: ") + exception.what());
  }
  return 0;
}

int run_recycle(const std::string& path, std::optional<unsigned> slot) {
  const auto answer = ask(path, control::RecycleCommand{slot});
  if (!answer) return fail(answer.error().text());
  const json::value* workers = answer->object.if_contains("workers");
  std::printf("replacing %s worker(s), one by one\n", workers == nullptr ? "some" : text_of(*workers).c_str());
  return 0;
}

int run_stop(const std::string& path, bool wait) {
  const auto answer = ask(path, control::StopCommand{});
  if (!answer) return fail(answer.error().text());
  const json::value* pid = answer->object.if_contains("pid");
  if (wait && pid != nullptr && pid->is_int64()) wait_until_gone(path, static_cast<pid_t>(pid->get_int64()));
  std::printf("%s\n", wait ? "stopped" : "stopping");
  return 0;
}

}  // namespace stint::cli
