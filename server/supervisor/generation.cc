#include "server/supervisor/generation.h"

#include <fcntl.h>

#include <algorithm>

namespace stint::supervisor {

Result<std::unique_ptr<Generation>> Generation::make(boost::asio::io_context& io, unsigned number,
                                                     const Settings& settings, const std::string& settings_toml,
                                                     const std::vector<const net::Listener*>& sockets,
                                                     const control::InboxEnds& inbox) {
  auto made = std::make_unique<Generation>();
  made->number = number;
  made->app = settings.app;
  made->memory = settings.memory;
  for (const net::Listener* listener : sockets) {
    UniqueFd copy(::fcntl(listener->socket.get(), F_DUPFD_CLOEXEC, 0));
    if (!copy.is_open()) return system_error("share the listener " + listener->address.text());
    made->listeners.push_back({std::move(copy), listener->address, {}});
  }
  made->spawner = std::make_unique<Spawner>(io, made->listeners, inbox, settings.app, settings.http.max_connections);
  if (auto prepared = made->spawner->prepare(settings_toml); !prepared) return prepared.error();
  return made;
}

bool Generation::listens_beyond(const Generation& other) const {
  return std::any_of(listeners.begin(), listeners.end(), [&other](const net::Listener& own) {
    return std::none_of(other.listeners.begin(), other.listeners.end(),
                        [&own](const net::Listener& its) { return its.address == own.address; });
  });
}

}  // namespace stint::supervisor
