#include "server/worker/acceptor.h"

#include <climits>
#include <utility>

namespace stint::worker {

Acceptor::Acceptor(std::vector<net::Listener> listeners, ConnectionServices& services) : services_(services) {
  for (net::Listener& listener : listeners) doors_.push_back(std::make_unique<Door>(*this, std::move(listener)));
  services_.loop.add(retrying_);
}

Result<void> Acceptor::start() { return watch_all(); }

Result<void> Acceptor::watch_all() {
  for (const auto& door : doors_) {
    const Result<void> watched = services_.loop.watch(door->listener.socket.get(), EPOLLIN | EPOLLEXCLUSIVE, *door);
    if (!watched.has_value()) {
      pause();
      return watched.error();
    }
    door->is_watched = true;
  }
  is_watching_ = true;
  return {};
}

void Acceptor::pause() {
  is_watching_ = false;
  for (const auto& door : doors_) {
    if (!std::exchange(door->is_watched, false)) continue;
    services_.loop.unwatch(door->listener.socket.get());
  }
}

void Acceptor::try_again_later(const Error& error) {
  services_.log.warning("no connection accepted", {{"error", error.text()}, {"next", "trying again in 200ms"}});
  is_retrying_ = true;
  retrying_.arm(*this, services_.loop.now());
  pause();
}

void Acceptor::accept_from(const net::Listener& listener, unsigned most) {
  for (unsigned i = 0; i < most; ++i) {
    if (services_.table.is_full()) {
      if (!std::exchange(has_said_full_, true)) {
        services_.log.warning("connections at their limit", {{"max_connections", services_.table.open()},
                                                             {"next", "accepting again when one has gone"}});
      }
      return pause();
    }
    Result<net::Accepted> accepted = net::accept_connection(listener);
    if (!accepted.has_value()) {
      if (accepted.error().code == boost::system::errc::resource_unavailable_try_again) return;
      // EMFILE and its kin stay until something is freed; the waiting connection would wake us in a circle.
      return try_again_later(accepted.error());
    }
    Connection& connection = services_.table.add(services_, std::move(*accepted));
    if (const Result<void> started = connection.start(); !started.has_value()) {
      services_.table.bury(connection);
      return try_again_later(started.error());
    }
  }
}

void Acceptor::on_deadline() {
  is_retrying_ = false;
  resume_if_room();
}

void Acceptor::resume_if_room() {
  if (is_watching_ || is_retrying_ || doors_.empty() || services_.table.is_full()) return;
  if (services_.table.open() < services_.table.capacity() - services_.table.capacity() / 10) has_said_full_ = false;
  if (const Result<void> watched = watch_all(); !watched.has_value()) try_again_later(watched.error());
}

void Acceptor::stop(bool takes_rest) {
  if (takes_rest) {
    for (const auto& door : doors_) accept_from(door->listener, UINT_MAX);
  }
  pause();
  disarm();
  is_retrying_ = false;
  doors_.clear();
}

}  // namespace stint::worker
