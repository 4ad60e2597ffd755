#include "server/net/inherited_sockets.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <utility>

namespace stint::net {

namespace {

// More than anybody passes; keeps a wrong number from becoming a long walk through closed descriptors.
constexpr unsigned most_sockets = 1024;

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

template <class Number>
std::optional<Number> number_in(const std::string& text) {
  Number number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::vector<std::string> parts_of(const std::string& names) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= names.size();) {
    const std::size_t colon = std::min(names.find(':', at), names.size());
    parts.push_back(names.substr(at, colon - at));
    at = colon + 1;
  }
  return parts;
}

}  // namespace

Result<std::vector<std::string>> names_of_passed_sockets(const ListenVariables& variables, pid_t own_pid) {
  if (!variables.pid || !variables.fds || number_in<pid_t>(*variables.pid) != own_pid)
    return std::vector<std::string>{};
  const auto count = number_in<unsigned>(*variables.fds);
  if (!count || *count > most_sockets)
    return error_because("the environment's LISTEN_FDS is '" + *variables.fds + "', which is no number of sockets");
  if (!variables.names) return std::vector<std::string>(*count, "unknown");
  std::vector<std::string> names = *count == 0 ? std::vector<std::string>{} : parts_of(*variables.names);
  if (names.size() != *count)
    return error_because("the environment's LISTEN_FDNAMES has " + std::to_string(names.size()) + " names for the " +
                         std::to_string(*count) + " sockets of LISTEN_FDS");
  return names;
}

Result<InheritedSockets> InheritedSockets::take_from_environment() {
  const ListenVariables variables{variable("LISTEN_PID"), variable("LISTEN_FDS"), variable("LISTEN_FDNAMES")};
  for (const char* name : {"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);
  auto names = names_of_passed_sockets(variables, ::getpid());
  if (!names) return names.error();

  InheritedSockets inherited;
  for (std::string& name : *names) {
    const int fd = first_passed_fd + static_cast<int>(inherited.sockets_.size());
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return system_error("take inherited descriptor " + std::to_string(fd));
    inherited.sockets_.push_back({std::move(name), UniqueFd(fd)});
  }
  if (variables.pid && number_in<pid_t>(*variables.pid) != ::getpid())
    inherited.why_none_ =
        "LISTEN_PID says they are for process " + *variables.pid + ", and this is " + std::to_string(::getpid());
  else
    inherited.why_none_ = "a systemd .socket unit passes some";
  return inherited;
}

Result<std::vector<Listener>> InheritedSockets::take(const std::string& name) {
  const std::string address = ListenAddress{.family = ListenAddress::Family::inherited, .name = name}.text();
  if (sockets_.empty()) return error_because("listen " + address + ": no sockets were inherited (" + why_none_ + ")");
  std::vector<Listener> listeners;
  std::string others;
  for (Passed& passed : sockets_) {
    if (!name.empty() && passed.name != name) {
      others.append(others.empty() ? "" : ", ").append(passed.name);
      continue;
    }
    if (!passed.socket.is_open()) continue;
    auto listener = adopt_listener(std::move(passed.socket));
    if (!listener) return Error{listener.error().code, "listen " + address + ": " + listener.error().doing};
    listeners.push_back(std::move(*listener));
  }
  if (listeners.empty())
    return error_because("listen " + address + ": no inherited socket has this name; there are: " + others);
  return listeners;
}

std::string InheritedSockets::names_left() const {
  std::string names;
  for (const Passed& passed : sockets_)
    if (passed.socket.is_open()) names.append(names.empty() ? "" : ", ").append(passed.name);
  return names;
}

Result<std::vector<Listener>> open_listeners(const ListenAddress& address, std::optional<gid_t> group,
                                             InheritedSockets& inherited) {
  if (address.family == ListenAddress::Family::inherited) return inherited.take(address.name);
  auto listener = open_listener(address, group);
  if (!listener) return listener.error();
  std::vector<Listener> listeners;
  listeners.push_back(std::move(*listener));
  return listeners;
}

}  // namespace stint::net
