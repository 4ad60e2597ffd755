#include "server/control/message.h"

#include "server/control/wire_text.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <stdexcept>

namespace stint::control {

namespace {

namespace json = boost::json;

// All texts of a message together stay far below the 200 KiB that a channel holds: JSON's escapes at most double what
// wire_text lets through.
constexpr std::size_t max_word = 1024;
constexpr std::size_t max_line = 4 * 1024;
constexpr std::size_t max_traceback = 40 * 1024;
constexpr std::size_t max_steps = 64;

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>  // Clang before 17 does not deduce an aggregate's arguments by itself
Overloaded(Cases...) -> Overloaded<Cases...>;

json::object fields_of(const Message& message) {
  return std::visit(
      Overloaded{
          [](const Warming&) { return json::object{{"is", "warming"}}; },
          [](const Ready& ready) {
            json::array steps;
            for (std::size_t i = 0; i < std::min(ready.steps.size(), max_steps); ++i)
              steps.push_back(json::object{{"name", wire_text(ready.steps[i].name, max_word)},
                                           {"microseconds", static_cast<std::int64_t>(ready.steps[i].took.count())}});
            return json::object{
                {"is", "ready"}, {"steps", std::move(steps)}, {"python", wire_text(ready.python, max_word)}};
          },
          [](const StartFailed& failed) {
            return json::object{{"is", "start_failed"},
                                {"step", wire_text(failed.failure.step, max_word)},
                                {"summary", wire_text(failed.failure.summary, max_line)},
                                {"traceback", wire_text(failed.failure.traceback, max_traceback)}};
          },
          [](const Draining&) { return json::object{{"is", "draining"}}; },
          [](const Drained&) { return json::object{{"is", "drained"}}; },
          [](const RecycleWanted& wanted) {
            return json::object{{"is", "recycle_wanted"}, {"reason", wire_text(wanted.reason, max_word)}};
          },
          [](const Serve&) { return json::object{{"is", "serve"}}; },
          [](const Retire& retire) {
            return json::object{{"is", "retire"},
                                {"reason", wire_text(retire.reason, max_word)},
                                {"takes_rest", retire.takes_rest},
                                {"takes_waiting", retire.takes_waiting},
                                {"becomes_zygote", retire.becomes_zygote}};
          },
          [](const AnnounceCloses&) { return json::object{{"is", "announce_closes"}}; },
          [](const ReopenLogs&) { return json::object{{"is", "reopen_logs"}}; },
          [](const Fork& fork) {
            return json::object{{"is", "fork"},
                                {"slot", fork.slot},
                                {"listeners", fork.listeners},
                                {"startup_timeout", fork.startup_timeout.count()}};
          },
          [](const Forked&) { return json::object{{"is", "forked"}}; },
          [](const Trace& trace) { return json::object{{"is", "trace"}, {"number", trace.number}}; },
          [](const CallTrace& call) {
            return json::object{{"is", "call_trace"},
                                {"trace", call.trace},
                                {"method", wire_text(call.method, max_word)},
                                {"target", wire_text(call.target, max_line)},
                                {"request", wire_text(call.request, max_word)},
                                {"age", static_cast<std::int64_t>(call.age.count())},
                                {"thread", call.thread},
                                {"lock", wire_text(call.lock, max_line)},
                                {"stack", wire_text(call.stack, max_traceback)}};
          },
          [](const TraceDone& done) { return json::object{{"is", "trace_done"}, {"trace", done.trace}}; },
      },
      message);
}

// Throws what Boost.JSON throws when a field is missing or of another type; decode() catches.
std::string text_at(const json::object& object, std::string_view name) {
  return std::string(std::string_view(object.at(name).as_string()));
}

Message message_of(const json::object& object) {
  const std::string is = text_at(object, "is");
  if (is == "warming") return Warming{};
  if (is == "ready") {
    Ready ready;
    for (const auto& step : object.at("steps").as_array())
      ready.steps.push_back({text_at(step.as_object(), "name"),
                             std::chrono::microseconds(step.as_object().at("microseconds").to_number<std::int64_t>())});
    ready.python = text_at(object, "python");
    return ready;
  }
  if (is == "start_failed")
    return StartFailed{{text_at(object, "step"), text_at(object, "summary"), text_at(object, "traceback")}};
  if (is == "draining") return Draining{};
  if (is == "drained") return Drained{};
  if (is == "recycle_wanted") return RecycleWanted{text_at(object, "reason")};
  if (is == "serve") return Serve{};
  if (is == "retire")
    return Retire{text_at(object, "reason"), object.at("takes_rest").as_bool(), object.at("takes_waiting").as_bool(),
                  object.at("becomes_zygote").as_bool()};
  if (is == "announce_closes") return AnnounceCloses{};
  if (is == "reopen_logs") return ReopenLogs{};
  if (is == "fork")
    return Fork{object.at("slot").to_number<unsigned>(), object.at("listeners").to_number<unsigned>(),
                std::chrono::milliseconds(object.at("startup_timeout").to_number<std::int64_t>())};
  if (is == "forked") return Forked{};
  if (is == "trace") return Trace{object.at("number").to_number<unsigned>()};
  if (is == "call_trace")
    return CallTrace{.trace = object.at("trace").to_number<unsigned>(),
                     .method = text_at(object, "method"),
                     .target = text_at(object, "target"),
                     .request = text_at(object, "request"),
                     .age = std::chrono::milliseconds(object.at("age").to_number<std::int64_t>()),
                     .thread = object.at("thread").to_number<pid_t>(),
                     .lock = text_at(object, "lock"),
                     .stack = text_at(object, "stack")};
  if (is == "trace_done") return TraceDone{object.at("trace").to_number<unsigned>()};
  throw std::invalid_argument("unknown message '" + is + "'");
}

}  // namespace

std::string encode(const Message& message) { return json::serialize(fields_of(message)); }

Result<Message> decode(std::string_view packet) {
  boost::system::error_code code;
  const json::value value = json::parse(packet, code);
  if (code) return Error{code, "read a message"};
  try {
    return message_of(value.as_object());
  } catch (const std::exception& exception) {
    return error_because(std::string("read a message: ") + exception.what());
  }
}

}  // namespace stint::control
