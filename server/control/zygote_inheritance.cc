#include "server/control/zygote_inheritance.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <charconv>
#include <cstddef>
#include <utility>

namespace stint::control {

namespace {

constexpr std::size_t descriptors_without_listeners = 6;

Error not_from_a_supervisor() {
  return error_because("'stint zygote' is started by Stint's supervisor only; the server is 'stint serve'");
}

}  // namespace

std::vector<std::string> zygote_arguments(unsigned generation) {
  return {"zygote", "--generation", std::to_string(generation)};
}

Result<ZygoteInheritance> take_zygote_inheritance(const std::vector<std::string>& arguments) {
  if (arguments.size() != 3 || arguments[0] != "zygote" || arguments[1] != "--generation")
    return not_from_a_supervisor();
  ZygoteInheritance inheritance;
  const std::string& number = arguments[2];
  const auto [end, code] = std::from_chars(number.data(), number.data() + number.size(), inheritance.generation);
  if (code != std::errc() || end != number.data() + number.size()) return not_from_a_supervisor();

  // Both are looked at before the first is owned: descriptors of somebody who typed the command must not be closed.
  if (!is_channel(first_inherited_fd) || ::fcntl(first_inherited_fd + 1, F_GETFD) < 0) return not_from_a_supervisor();
  inheritance.channel.reset(first_inherited_fd);
  inheritance.settings.reset(first_inherited_fd + 1);
  for (const UniqueFd* owned : {&inheritance.channel, &inheritance.settings})
    if (::fcntl(owned->get(), F_SETFD, FD_CLOEXEC) != 0)
      return system_error("set close-on-exec on an inherited descriptor");
  return inheritance;
}

std::vector<int> descriptors_for_fork(int channel, int status_page, int connection_table, const InboxEnds& inbox,
                                      const std::vector<int>& listeners) {
  std::vector<int> descriptors{channel,         status_page,      connection_table,
                               inbox.put.get(), inbox.take.get(), inbox.idle_workers.get()};
  descriptors.insert(descriptors.end(), listeners.begin(), listeners.end());
  return descriptors;
}

Result<WorkerInheritance> inheritance_of(const Fork& order, const ZygoteInheritance& zygote,
                                         std::vector<UniqueFd>& descriptors) {
  if (descriptors.size() != descriptors_without_listeners + order.listeners)
    return error_because("take what the worker inherits: " + std::to_string(descriptors.size()) + " descriptors of " +
                         std::to_string(descriptors_without_listeners + order.listeners) +
                         " have come; raise app.limits.open_files");
  WorkerInheritance inheritance;
  inheritance.slot = order.slot;
  inheritance.generation = zygote.generation;
  inheritance.startup_timeout = order.startup_timeout;
  inheritance.channel = std::move(descriptors[0]);
  inheritance.status_page = std::move(descriptors[1]);
  inheritance.connection_table = std::move(descriptors[2]);
  inheritance.inbox_put = std::move(descriptors[3]);
  inheritance.inbox_take = std::move(descriptors[4]);
  inheritance.idle_workers = std::move(descriptors[5]);
  for (std::size_t i = descriptors_without_listeners; i < descriptors.size(); ++i)
    inheritance.listeners.push_back(std::move(descriptors[i]));
  return inheritance;
}

}  // namespace stint::control
