#include "server/worker/acceptor.h"

#include <algorithm>
#include <utility>

namespace stint::worker {

Acceptor::Acceptor(std::vector<net::Listener> listeners, UniqueFd inbox_take, control::IdleWorkers& idle,
                   ConnectionServices& services)
    : services_(services), inbox_(*this, std::move(inbox_take)), idle_workers_(idle) {
  for (net::Listener& listener : listeners) doors_.push_back(std::make_unique<Door>(*this, std::move(listener)));
  services_.loop.add(retrying_);
  services_.loop.add(leaving_);
}

Result<void> Acceptor::start() {
  is_open_ = true;
  return watch_doors();
}

void Acceptor::hold(bool listeners, bool inbox) {
  if (holds_listeners_ == listeners && holds_inbox_ == inbox) return;
  const bool lets_go = listeners && !holds_listeners_ && is_watching_;
  holds_listeners_ = listeners;
  holds_inbox_ = inbox;
  is_watching_ ? watch_again() : resume_if_room();
  if (lets_go) take_from_listeners(1);
}

void Acceptor::watch_again() {
  if (const Result<void> watched = watch_doors(); !watched.has_value()) try_again_later(watched.error());
}

void Acceptor::leave_inbox() {
  if (!is_open()) return;
  allow(any_number);
  has_left_inbox_ = true;
  leaving_.arm(return_, services_.loop.now());
  if (is_watching_) watch_again();
}

void Acceptor::return_to_inbox() {
  has_left_inbox_ = false;
  if (is_watching_) watch_again();
}

Result<void> Acceptor::watch_doors() {
  const auto watch = [&](int fd, auto& door, bool is_held) -> Result<void> {
    if (door.is_watched != is_held) return {};
    if (is_held) {
      door.is_watched = false;
      services_.loop.unwatch(fd);
      return {};
    }
    const Result<void> watched = services_.loop.watch(fd, EPOLLIN | EPOLLEXCLUSIVE, door);
    door.is_watched = watched.has_value();
    return watched;
  };
  Result<void> watched = watch(inbox_.socket.get(), inbox_, holds_inbox());
  for (const auto& door : doors_) {
    if (watched.has_value()) watched = watch(door->listener.socket.get(), *door, holds_listeners_);
  }
  if (!watched.has_value()) pause();
  is_watching_ = watched.has_value();
  return watched;
}

void Acceptor::pause() {
  is_watching_ = false;
  if (std::exchange(inbox_.is_watched, false)) services_.loop.unwatch(inbox_.socket.get());
  for (const auto& door : doors_) {
    if (std::exchange(door->is_watched, false)) services_.loop.unwatch(door->listener.socket.get());
  }
}

void Acceptor::try_again_later(const Error& error) {
  services_.log.warning("no connection accepted", {{"error", error.text()}, {"next", "trying again in 200ms"}});
  is_retrying_ = true;
  retrying_.arm(*this, services_.loop.now());
  pause();
}

bool Acceptor::pause_when_full() {
  if (!services_.table.is_full()) return false;
  services_.page.set_full(true);
  if (!std::exchange(has_said_full_, true)) {
    services_.log.warning("connections at their limit",
                          {{"max_connections", services_.table.open()}, {"next", "accepting again when one has gone"}});
  }
  pause();
  return true;
}

Connection* Acceptor::add(UniqueFd socket, net::AddressText remote, const control::Handover* handover) {
  Connection& connection = services_.table.add(services_, std::move(socket), std::move(remote));
  control::saw_descriptor(connection.socket());
  const Result<void> started = connection.start(handover);
  if (started.has_value()) return &connection;
  services_.table.bury(connection);
  try_again_later(started.error());
  return nullptr;
}

bool Acceptor::accept_from(const net::Listener& listener, unsigned most) {
  for (unsigned i = 0; i < most && !pause_when_full(); ++i) {
    Result<net::Accepted> accepted = net::accept_connection(listener);
    if (!accepted.has_value()) {
      if (accepted.error().code == boost::system::errc::resource_unavailable_try_again) return false;
      // EMFILE and its kin stay until something is freed; the waiting connection would wake us in a circle.
      try_again_later(accepted.error());
      return true;
    }
    if (add(std::move(accepted->socket), net::text_of(accepted->peer)) == nullptr) return true;
  }
  return true;
}

// A worker that has got a request to start leaves the next one to others; but one at a time it takes also while
// requests wait here: where all workers have some, what is in the inbox would wait for ever.
bool Acceptor::take_from_inbox(unsigned most) {
  if (is_retrying_) return true;
  for (unsigned i = 0; i < most && !pause_when_full(); ++i) {
    if (i > 0 && most != everything && services_.dispatcher.has_waiting()) return true;
    Result<std::optional<control::Handover>> taken = control::take_from_inbox(inbox_.socket.get());
    if (!taken.has_value() && taken.error().code.failed()) {  // EMFILE: it is still there
      try_again_later(taken.error());
      return true;
    }
    if (!taken.has_value()) {
      services_.log.error("packet of the inbox not understood",
                          {{"error", taken.error().text()}, {"next", "its connections are closed"}});
      continue;
    }
    if (!*taken) {
      idle_workers_.nothing_sent();
      return false;
    }
    if ((*taken)->header.head_length > 0) {
      idle_workers_.took();
      idle_workers_.say_busy();  // until it is served
    }
    const bool is_idle = (*taken)->header.length == 0;
    if (is_idle && allowed_ != any_number && most != everything)
      allowed_ -= std::min(allowed_, (*taken)->sockets.size());
    take_over(std::move(**taken));
    if (is_idle && has_enough()) {
      leave_inbox();
      return true;
    }
  }
  return true;
}

void Acceptor::take_over(control::Handover handover) {
  const Dispatcher::Deferral deferral(services_.dispatcher);  // there may be more to take, and orders
  const bool is_idle = handover.header.length == 0;
  for (UniqueFd& socket : handover.sockets) {
    if (services_.table.is_full()) {  // in the middle of a packet of idle connections: back with it
      const int fd = socket.get();
      static_cast<void>(control::put_into_inbox(services_.inbox_put, {.peer = handover.header.peer}, {}, {&fd, 1}));
      continue;
    }
    net::AddressText remote = net::remote_address_of(socket.get());
    Connection* connection = add(std::move(socket), std::move(remote), &handover);
    if (connection != nullptr && !is_idle) return connection->take_over(std::move(handover));
    if (connection != nullptr) connection->take_over({.header = {.peer = handover.header.peer}});
  }
}

void Acceptor::on_deadline() {
  is_retrying_ = false;
  resume_if_room();
}

void Acceptor::retry_now() {
  disarm();
  is_retrying_ = false;
}

void Acceptor::resume_if_room() {
  if (is_watching_ || !has_room()) return;
  services_.page.set_full(false);
  if (services_.table.open() < services_.table.capacity() - services_.table.capacity() / 10) has_said_full_ = false;
  watch_again();
}

void Acceptor::look() {
  if (is_watching_ && !holds_listeners_) take_from_listeners(1);
  if (waits_for_inbox()) take_from_inbox(1);
}

bool Acceptor::take_from_listeners(unsigned most) {
  if (is_retrying_) return true;
  bool may_have_more = false;
  for (const auto& door : doors_) may_have_more = accept_from(door->listener, most) || may_have_more;
  return may_have_more;
}

void Acceptor::close() {
  is_open_ = false;
  pause();
  return_.disarm();
  allow(any_number);
}

void Acceptor::stop() {
  close();
  retry_now();
  doors_.clear();
  inbox_.socket.reset();
}

}  // namespace stint::worker
