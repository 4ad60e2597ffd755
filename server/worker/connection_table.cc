#include "server/worker/connection_table.h"

#include "stint/assert.h"

namespace stint::worker {

Connection& ConnectionTable::add(ConnectionServices& services, UniqueFd socket, net::AddressText remote) {
  STINT_ASSERT(!is_full());
  std::size_t slot = slots_.size();
  if (free_.empty()) {
    slots_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  slots_[slot] = std::make_unique<Connection>(services, slot, std::move(socket), std::move(remote));
  ++open_;
  return *slots_[slot];
}

void ConnectionTable::bury(Connection& connection) {
  const std::size_t slot = connection.slot();
  STINT_ASSERT(slots_[slot].get() == &connection);
  graveyard_.push_back(std::move(slots_[slot]));
  free_.push_back(slot);
  --open_;
}

}  // namespace stint::worker
