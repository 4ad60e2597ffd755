#include "server/supervisor/server.h"

#include "server/control/command.h"
#include "server/supervisor/status.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <unistd.h>

#include <chrono>
#include <fstream>

namespace stint::supervisor {

namespace json = boost::json;

namespace {

Bytes own_resident_memory() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  statm >> total >> resident;
  return {resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE))};
}

std::string error_json(std::string_view sentence) { return json::serialize(json::object{{"error", sentence}}); }

}  // namespace

void Supervisor::Server::answer(std::string_view request, CommandServer::Reply reply) {
  const auto command = control::decode_command(request);
  if (!command) return reply(error_json(command.error().text()));
  const auto* trace = std::get_if<control::TraceCommand>(&*command);
  if (trace == nullptr) return reply(answer_at_once(*command));
  const bool has_asked =
      pool_->trace(trace->slot, [reply](const std::vector<WorkerTrace>& workers) { reply(trace_json(workers)); });
  if (!has_asked)
    reply(
        error_json(trace->slot ? "no worker in slot " + std::to_string(*trace->slot) + " serves" : "no worker serves"));
}

std::string Supervisor::Server::answer_at_once(const control::Command& command) {
  if (std::holds_alternative<control::StatusCommand>(command)) return status();
  if (is_leaving(state_) && std::holds_alternative<control::RecycleCommand>(command))
    return error_json("the server is stopping");
  if (const auto* recycle = std::get_if<control::RecycleCommand>(&command)) {
    const unsigned workers = pool_->recycle(recycle->slot, RecycleReason::operator_asked);
    if (workers == 0)
      return error_json(recycle->slot ? "no worker in slot " + std::to_string(*recycle->slot) : "no worker to recycle");
    return json::serialize(json::object{{"ok", true}, {"workers", workers}});
  }
  if (const auto* order = std::get_if<control::ReloadCommand>(&command)) {
    if (state_ != State::serving) return error_json("the server is " + std::string(text_of(state_)));
    reload(order->only_settings);
    return json::serialize(json::object{{"ok", true}, {"id", pool_->reload_report().id}});
  }
  if (std::holds_alternative<control::UpgradeCommand>(command)) {
    if (auto begun = upgrade(); !begun) return error_json(begun.error().text());
    return json::serialize(json::object{{"ok", true}, {"id", pool_->reload_report().id}});
  }
  if (std::holds_alternative<control::ReopenLogsCommand>(command)) {
    const Result<void> reopened = reopen_logs();
    return reopened.has_value() ? json::serialize(json::object{{"ok", true}}) : error_json(reopened.error().text());
  }
  if (!is_leaving(state_)) leave("stint stop");
  return json::serialize(json::object{{"ok", true}, {"pid", ::getpid()}});
}

std::string Supervisor::Server::status() const {
  const auto now = std::chrono::steady_clock::now();
  return status_json({.pid = ::getpid(),
                      .uptime = std::chrono::duration_cast<Duration>(now - began_),
                      .state = std::string(text_of(state_)),
                      .listen = addresses(),
                      .pool = pool_->status(),
                      .supervisor_memory = own_resident_memory()},
                     now);
}

std::vector<std::string> Supervisor::Server::addresses() const {
  std::vector<std::string> addresses;
  for (const net::Listener* listener : pointers_to(listeners_)) addresses.push_back(listener->address.text());
  return addresses;
}

std::string Supervisor::Server::listen_text() const {
  std::string text;
  for (const std::string& address : addresses()) text += (text.empty() ? "" : ",") + address;
  return text;
}

}  // namespace stint::supervisor
