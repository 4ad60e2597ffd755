#include "server/cli/status_text.h"

#include <boost/json/array.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <sstream>
#include <string_view>
#include <vector>

namespace stint::cli {

namespace {

namespace json = boost::json;

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

// Columns as wide as their widest cell. Numbers stand to the right; words, at the places in `words`, to the left.
template <std::size_t columns>
std::string table_text(const std::vector<std::array<std::string, columns>>& rows,
                       const std::array<bool, columns>& words) {
  std::array<std::size_t, columns> widths{};
  for (const auto& row : rows)
    for (std::size_t i = 0; i < columns; ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < columns; ++i) {
      const std::string padding(widths[i] - row[i].size(), ' ');
      text.append(i == 0 ? "" : "  ");
      if (!words[i])
        text.append(padding).append(row[i]);
      else
        text.append(row[i]).append(i + 1 == columns ? "" : padding);
    }
    text.append("\n");
  }
  return text;
}

std::string workers_text(const json::array& workers) {
  std::vector<std::array<std::string, 10>> rows{
      {"SLOT", "PID", "KEEPER", "STATE", "REQUESTS", "FAILED", "CONNECTIONS", "BUSY", "PRIVATE", "AGE"}};
  for (const json::value& value : workers) {
    const json::object& worker = value.as_object();
    const json::value& busy = worker.at("busy_ms");
    rows.push_back({text_of(worker.at("slot")), text_of(worker.at("pid")), text_of(worker.at("keeper")),
                    text_of(worker.at("state")), text_of(worker.at("requests")), text_of(worker.at("failures")),
                    text_of(worker.at("connections")).append(worker.at("is_full").as_bool() ? " (full)" : ""),
                    busy.is_null() ? "-" : text_of(busy).append("ms"), mebibytes_text(worker.at("private_bytes")),
                    duration_text(worker.at("age_s").to_number<double>())});
  }
  return table_text(rows, {false, false, false, true});
}

// What went wrong with clients, as far as anything did: one line, or nothing.
std::string clients_text(const json::object& totals) {
  std::string text;
  const auto add = [&text](std::string_view name, std::int64_t count) {
    if (count > 0)
      text.append(text.empty() ? "clients" : ",").append("  ").append(name).append(" ").append(std::to_string(count));
  };
  std::int64_t refusals = 0;
  std::string reasons;
  for (const auto& [reason, count] : totals.at("refused").as_object()) {
    refusals += count.to_number<std::int64_t>();
    reasons.append(reasons.empty() ? " (" : ", ").append(std::string_view(reason)).append(" ").append(text_of(count));
  }
  if (refusals > 0) text = "clients  refused " + std::to_string(refusals) + reasons + ")";
  for (const auto& [name, label] :
       {std::pair{"clients_gone", "gone"}, std::pair{"write_timeouts", "too slow in reading"},
        std::pair{"request_timeouts", "timed out (504)"}, std::pair{"times_full", "workers full"}})
    add(label, totals.at(name).to_number<std::int64_t>());
  return text.empty() ? text : text + "\n";
}

// Empty when there is none.
std::string running_text(const json::array& workers, std::chrono::milliseconds shown_from) {
  std::vector<std::array<std::string, 6>> rows{{"SLOT", "TIME", "ANSWERED", "TRIES", "REQUEST ID", "REQUEST"}};
  for (const json::value& value : workers) {
    const json::object& worker = value.as_object();
    for (const json::value& entry : worker.at("running").as_array()) {
      const json::object& request = entry.as_object();
      if (request.at("ms").to_number<std::int64_t>() < shown_from.count()) continue;
      rows.push_back({text_of(worker.at("slot")), text_of(request.at("ms")).append("ms"),
                      text_of(request.at("answered_bytes")),
                      std::to_string(request.at("attempts").to_number<std::int64_t>() + 1), text_of(request.at("id")),
                      text_of(request.at("method")).append(" ").append(text_of(request.at("target")))});
    }
  }
  if (rows.size() == 1) return {};
  return "\n" + table_text(rows, {false, false, false, false, true, true});
}

std::string generation_text(const json::value& number) { return "generation " + text_of(number); }

}  // namespace

std::string text_of(const json::value& value) {
  if (value.is_string()) return std::string(std::string_view(value.get_string()));
  if (value.is_number()) return std::to_string(value.to_number<std::int64_t>());
  return "-";
}

std::string reload_text(const json::object& reload) {
  const std::string state = text_of(reload.at("state"));
  const std::string upgrade_from = text_of(reload.at("upgrade_from"));
  const bool has_new_program = reload.at("has_new_program").as_bool();
  std::string text;
  if (state == "failed") {
    text = (upgrade_from.empty() ? "reload failed: " : "upgrade failed: ") + text_of(reload.at("step")) + ": " +
           text_of(reload.at("error")) + "\n";
    if (const std::string detail = text_of(reload.at("detail")); !detail.empty()) {
      text += detail;
      if (!text.ends_with('\n')) text += "\n";
    }
    if (!upgrade_from.empty() && !has_new_program) return text + "version " + upgrade_from + " goes on\n";
    if (reload.at("has_taken_over").as_bool())
      return text + generation_text(reload.at("to")) + " serves with some workers; the others are of " +
             generation_text(reload.at("from")) + " until they can be replaced\n";
    if (has_new_program) text += "the new program runs, with the workers of version " + upgrade_from + "\n";
    return text + generation_text(reload.at("from")) + " goes on\n";
  }
  for (const json::value& value : reload.at("changes").as_array()) {
    const json::object& change = value.as_object();
    const bool needs_restart = change.at("costs") == "restart";
    text += text_of(change.at("key")) + " " + text_of(change.at("from")) + " → " + text_of(change.at("to")) +
            (needs_restart ? ": counts after a restart" : "") + "\n";
  }
  const bool is_new = reload.at("from") != reload.at("to");
  const std::string generation = generation_text(reload.at("to"));
  if (const auto beside = reload.at("beside").to_number<unsigned>(); beside != 0)
    text += "not enough memory for both generations: " + std::to_string(beside) +
            " beside the old workers, then one by one\n";
  if (!upgrade_from.empty() && !has_new_program) return text + "the new program rehearses\n";
  if (has_new_program) text = "upgraded from version " + upgrade_from + "\n" + text;
  if (state != "done") return text + generation + " is starting\n";
  if (!is_new) return text + generation + " goes on with these settings\n";
  std::string steps;
  for (const json::value& value : reload.at("steps").as_array()) {
    const json::object& step = value.as_object();
    steps +=
        ", " + text_of(step.at("name")) + " " + std::to_string(step.at("us").to_number<std::int64_t>() / 1000) + "ms";
  }
  return text + generation + " serves: started " + text_of(reload.at("started")) + " in " +
         text_of(reload.at("took_ms")) + "ms" + steps + "\n";
}

std::string trace_text(const json::object& trace) {
  std::string text;
  for (const json::value& value : trace.at("workers").as_array()) {
    const json::object& worker = value.as_object();
    const json::array& calls = worker.at("calls").as_array();
    text += "worker " + text_of(worker.at("slot")) + "  pid " + text_of(worker.at("pid")) + "  " +
            generation_text(worker.at("generation"));
    text += !worker.at("has_answered").as_bool() ? ": does not answer\n" : calls.empty() ? ": nothing runs\n" : "\n";
    for (const json::value& entry : calls) {
      const json::object& call = entry.as_object();
      text += "  " + text_of(call.at("method")) + " " + text_of(call.at("target")) + "  " + text_of(call.at("ms")) +
              "ms  request " + text_of(call.at("request")) + "  thread " + text_of(call.at("thread")) +
              "; the GIL is " + text_of(call.at("lock")) + "\n";
      std::istringstream lines(text_of(call.at("stack")));
      for (std::string line; std::getline(lines, line);) text += "    " + line + "\n";
      if (call.at("stack").as_string().empty()) text += "    its thread does not answer\n";
    }
  }
  return text;
}

std::string status_text(const json::object& status, std::chrono::milliseconds shown_from) {
  const json::object& pool = status.at("pool").as_object();
  std::string listen;
  for (const json::value& address : status.at("listen").as_array())
    listen.append(listen.empty() ? "" : ", ").append(text_of(address));
  std::string recycled;
  std::int64_t recycles = 0;
  for (const auto& [reason, count] : pool.at("recycled").as_object()) {
    recycled.append(recycled.empty() ? " (" : ", ").append(std::string_view(reason)).append(" ").append(text_of(count));
    recycles += count.to_number<std::int64_t>();
  }
  if (!recycled.empty()) recycled.append(")");
  const json::array& workers = pool.at("workers").as_array();

  std::string text = "stint " + text_of(status.at("version")) + "  " + text_of(status.at("state")) + "  pid " +
                     text_of(status.at("pid")) + "  up " + duration_text(status.at("uptime_s").to_number<double>()) +
                     "  supervisor " + mebibytes_text(status.at("supervisor").as_object().at("rss_bytes")) + "\n";
  text += "listening on " + listen + "\n";
  text += "pool " + text_of(pool.at("name")) + "  generation " + text_of(pool.at("generation")) + "  workers " +
          text_of(pool.at("count")) + "  recycled " + std::to_string(recycles) + recycled + "  died " +
          text_of(pool.at("restarts")) + "\n";
  for (const json::value& value : pool.at("zygotes").as_array()) {  // none but with start = "fork"
    const json::object& zygote = value.as_object();
    text += "zygote  generation " + text_of(zygote.at("generation")) + "  " + text_of(zygote.at("state")) + "  pid " +
            text_of(zygote.at("pid")) + "\n";
  }
  text += clients_text(pool.at("totals").as_object()) + "\n";
  return text + workers_text(workers) + running_text(workers, shown_from);
}

}  // namespace stint::cli
