// The connections of this worker, each in a numbered slot; at most http.max_connections. Owns them.
//
// A closed connection is buried, not destroyed: its own code may still be running above us. The worker empties the
// graveyard between steps of the event loop.
#pragma once

#include "server/worker/connection.h"

#include <memory>
#include <vector>

namespace stint::worker {

class ConnectionTable {
 public:
  explicit ConnectionTable(std::size_t capacity) : capacity_(capacity) {}

  bool is_full() const { return open_ == capacity_; }
  bool is_empty() const { return open_ == 0; }
  std::size_t open() const { return open_; }
  std::size_t capacity() const { return capacity_; }

  // REQUIRES: !is_full().
  Connection& add(ConnectionServices& services, UniqueFd socket, net::AddressText remote);
  void bury(Connection& connection);
  void empty_graveyard() { graveyard_.clear(); }

  // `visit` may close the connection it is given.
  template <class Visit>
  void for_each(Visit visit) {
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
      if (slots_[slot]) visit(*slots_[slot]);
    }
  }

 private:
  const std::size_t capacity_;
  std::size_t open_ = 0;
  std::vector<std::unique_ptr<Connection>> slots_;
  std::vector<std::size_t> free_;
  std::vector<std::unique_ptr<Connection>> graveyard_;
};

}  // namespace stint::worker
