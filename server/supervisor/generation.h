// One version of code and settings: what its workers are started with. The Pool has one that serves and, during a
// reload, one that is coming; each has descriptors of its own of the same listening sockets, so that neither depends on
// the other's end.
#pragma once

#include "server/net/listener.h"
#include "server/supervisor/spawner.h"
#include "stint/result.h"
#include "stint/settings.h"

#include <memory>
#include <string>
#include <vector>

namespace stint::supervisor {

struct Generation {
  unsigned number = 1;
  AppSettings app;
  MemorySettings memory;
  std::vector<net::Listener> listeners;
  std::unique_ptr<Spawner> spawner;  // uses `listeners`

  // Whether it listens where `other` does not.
  bool listens_beyond(const Generation& other) const;

  // `sockets` are duplicated. `inbox` and `io` outlive it.
  static Result<std::unique_ptr<Generation>> make(boost::asio::io_context& io, unsigned number,
                                                  const Settings& settings, const std::string& settings_toml,
                                                  const std::vector<const net::Listener*>& sockets,
                                                  const control::InboxEnds& inbox);
};

}  // namespace stint::supervisor
