#include "server/control/inheritance.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <charconv>
#include <cstddef>
#include <optional>
#include <string_view>

namespace stint::control {

namespace {

constexpr unsigned max_listeners = 1024;

Error not_from_a_supervisor() {
  return error_because("'stint worker' is started by Stint's supervisor only; the server is 'stint serve'");
}

std::optional<unsigned> number_in(const std::string& text) {
  unsigned number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

bool is_channel(int fd) {
  int domain = 0;
  int type = 0;
  socklen_t length = sizeof(int);
  return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_UNIX &&
         ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET;
}

std::vector<std::string> worker_arguments(unsigned slot, unsigned generation, unsigned listeners) {
  return {"worker",
          "--slot",
          std::to_string(slot),
          "--generation",
          std::to_string(generation),
          "--listeners",
          std::to_string(listeners)};
}

Result<WorkerInheritance> take_inheritance(const std::vector<std::string>& arguments) {
  static constexpr std::string_view names[] = {"--slot", "--generation", "--listeners"};
  unsigned values[std::size(names)];
  if (arguments.size() != 1 + 2 * std::size(names) || arguments[0] != "worker") return not_from_a_supervisor();
  for (std::size_t i = 0; i < std::size(names); ++i) {
    const auto value = number_in(arguments[2 + 2 * i]);
    if (arguments[1 + 2 * i] != names[i] || !value) return not_from_a_supervisor();
    values[i] = *value;
  }
  const unsigned listeners = values[2];
  if (values[0] == 0 || listeners > max_listeners) return not_from_a_supervisor();

  // All are looked at before the first is owned: descriptors of somebody who typed the command must not be closed.
  const int end = first_listener_fd + static_cast<int>(listeners);
  if (!is_channel(first_inherited_fd)) return not_from_a_supervisor();
  for (int fd = first_inherited_fd; fd < end; ++fd)
    if (::fcntl(fd, F_GETFD) < 0) return not_from_a_supervisor();

  WorkerInheritance inheritance;
  inheritance.slot = values[0];
  inheritance.generation = values[1];
  int fd = first_inherited_fd;
  inheritance.channel.reset(fd++);
  inheritance.settings.reset(fd++);
  inheritance.status_page.reset(fd++);
  inheritance.connection_table.reset(fd++);
  inheritance.inbox_put.reset(fd++);
  inheritance.inbox_take.reset(fd++);
  inheritance.idle_workers.reset(fd++);
  while (fd < end) inheritance.listeners.emplace_back(fd++);
  // The application's own child processes must not keep the sockets open.
  for (fd = first_inherited_fd; fd < end; ++fd)
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return system_error("set close-on-exec on an inherited descriptor");
  return inheritance;
}

}  // namespace stint::control
