#include "server/supervisor/service_manager.h"

#include "stint/result.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace stint::supervisor {

namespace {

using std::chrono::microseconds;
using std::chrono::steady_clock;

constexpr std::size_t longest_status = 500;

std::optional<std::string> take_variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  std::string text = value;
  ::unsetenv(name);
  return text;
}

template <class Number>
std::optional<Number> number_in(const std::string& text) {
  Number number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

struct Address {
  sockaddr_un name{};
  socklen_t size = 0;
};

// nullopt: no address of a unix socket. ("vsock:" is for virtual machines that report to their host.)
std::optional<Address> address_of(const std::string& socket) {
  Address address;
  if (socket.size() < 2 || (socket[0] != '/' && socket[0] != '@') || socket.size() >= sizeof address.name.sun_path)
    return std::nullopt;
  address.name.sun_family = AF_UNIX;
  std::memcpy(address.name.sun_path, socket.data(), socket.size());
  if (socket[0] == '@') address.name.sun_path[0] = '\0';
  address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket.size());
  return address;
}

// steady_clock is CLOCK_MONOTONIC here, which the manager compares with.
microseconds monotonic_now() {
  return std::chrono::duration_cast<microseconds>(steady_clock::now().time_since_epoch());
}

}  // namespace

ServiceManagerSettings take_service_manager_settings() {
  ServiceManagerSettings settings;
  settings.socket = take_variable("NOTIFY_SOCKET").value_or("");
  const auto usec = take_variable("WATCHDOG_USEC");
  settings.watchdog = watchdog_time(usec, take_variable("WATCHDOG_PID"), ::getpid());
  return settings;
}

microseconds watchdog_time(const std::optional<std::string>& usec, const std::optional<std::string>& pid,
                           pid_t own_pid) {
  if (!usec || (pid && number_in<pid_t>(*pid) != own_pid)) return microseconds(0);
  constexpr std::int64_t most = std::chrono::duration_cast<microseconds>(std::chrono::hours(24 * 365)).count();
  const auto count = number_in<std::int64_t>(*usec);
  return microseconds(count && *count > 0 && *count <= most ? *count : 0);
}

std::string status_line(const ServiceView& view) {
  if (view.state == ServerState::stopping) return std::string(text_of(view.state));
  const bool is_reloading = view.state == ServerState::serving && view.is_reloading;
  std::string line = std::string(is_reloading ? "reloading" : text_of(view.state)) + ", " + std::to_string(view.ready) +
                     " of " + std::to_string(view.workers) + " workers ready, generation " +
                     std::to_string(view.generation);
  // An application's words, perhaps: a line of theirs must not become one of ours.
  for (const char c : view.failed_reload.empty() ? "" : "; the last reload failed: " + view.failed_reload)
    line += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  return line.substr(0, longest_status);
}

std::vector<std::string> messages_between(const ServiceView& before, const ServiceView& now,
                                          const ServiceMoment& moment) {
  const std::string status = "STATUS=" + status_line(now);
  // The manager's own limit (TimeoutStopSec) knows nothing of our settings; it is told how long they allow for.
  if (is_leaving(now.state) && !is_leaving(before.state))
    return {"STOPPING=1\nEXTEND_TIMEOUT_USEC=" + std::to_string(moment.stop_time.count()) + "\n" + status};

  std::vector<std::string> messages;
  if (now.state == ServerState::serving) {
    const bool is_first = before.state == ServerState::starting;
    const bool has_begun = is_first ? now.is_reloading : now.reloads != before.reloads;
    const bool has_ended = !now.is_reloading && (has_begun || before.is_reloading);
    // MAINPID because what the manager started may have been a wrapper of ours.
    if (is_first) messages.push_back("READY=1\nMAINPID=" + std::to_string(moment.pid) + "\n" + status);
    if (has_begun)
      messages.push_back("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(moment.monotonic.count()) + "\n" + status);
    if (has_ended && !is_first) messages.push_back("READY=1\n" + status);
  }
  if (messages.empty() && status_line(now) != status_line(before)) messages.push_back(status);
  return messages;
}

ServiceManager::ServiceManager(ServiceManagerSettings settings, Log& log) : settings_(std::move(settings)), log_(log) {
  if (settings_.socket.empty()) return;
  if (!address_of(settings_.socket)) {
    complain("NOTIFY_SOCKET is '" + settings_.socket + "', no unix socket");
    return;
  }
  socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket_.is_open()) complain(system_error("make a socket").text());
}

void ServiceManager::show(const ServiceView& now, microseconds stop_time) {
  if (!socket_.is_open() || now == told_) return;
  // One that was sent before another did not fit is sent again with it, which does no harm.
  for (const std::string& message :
       messages_between(told_, now, {.pid = ::getpid(), .monotonic = monotonic_now(), .stop_time = stop_time}))
    if (!send(message)) return;
  told_ = now;
}

void ServiceManager::tick(steady_clock::time_point now) {
  if (!socket_.is_open() || settings_.watchdog == microseconds(0) || now < next_sign_) return;
  if (send("WATCHDOG=1")) next_sign_ = now + settings_.watchdog / 2;
}

bool ServiceManager::send(const std::string& message) {
  const auto address = address_of(settings_.socket);
  const ssize_t sent = ::sendto(socket_.get(), message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                                reinterpret_cast<const sockaddr*>(&address->name), address->size);
  if (sent >= 0) return true;
  if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ENOMEM) return false;
  complain(system_error("send to " + settings_.socket).text());
  return true;
}

void ServiceManager::complain(const std::string& what) {
  if (!std::exchange(has_complained_, true))
    log_.warning("cannot tell the service manager", {{"error", what}, {"next", "ignoring"}});
}

}  // namespace stint::supervisor
