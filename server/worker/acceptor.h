// Takes connections into the table while there is room: new ones from the inherited listeners, live ones from the
// pool's inbox. All workers wait on the same sockets with EPOLLEXCLUSIVE, so that the kernel wakes one of them for a
// connection, not all. The one that it has woken is the only one that knows: if that stops to wait before it has
// looked, it looks once more afterwards; and all look again once a second.
#pragma once

#include "server/control/idle_workers.h"
#include "server/control/inbox.h"
#include "server/net/listener.h"
#include "server/worker/connection_services.h"
#include "server/worker/deadlines.h"
#include "server/worker/even_load.h"
#include "server/worker/event_loop.h"
#include "stint/unique_fd.h"

#include <limits>
#include <memory>
#include <vector>

namespace stint::worker {

class Acceptor final : private Timed {
 public:
  // `inbox_take`: the end of the inbox to take from; `idle` counts what is in it.
  Acceptor(std::vector<net::Listener> listeners, UniqueFd inbox_take, control::IdleWorkers& idle,
           ConnectionServices& services);

  Result<void> start();
  // Nothing that comes wakes it any more. What is there can still be taken, until stop().
  void close();
  // Lets the listeners and the inbox go.
  void stop();
  // It has been started, and not closed.
  bool is_open() const { return is_open_; }
  bool waits_for_inbox() const { return is_watching_ && !holds_inbox(); }  // and may have been woken for it alone
  bool has_room() const { return is_open() && !is_retrying_ && !services_.table.is_full(); }
  // Leaves what comes to others that can do more with it. No system call when that is known already.
  void hold(bool listeners, bool inbox);
  // After so many more idle connections out of the inbox it leaves the next ones to others for a moment, once.
  void allow(std::size_t idle_connections) { allowed_ = idle_connections; }
  void leave_inbox();
  // Does not wait any longer for descriptors or memory to be freed.
  void retry_now();
  static constexpr unsigned everything = std::numeric_limits<unsigned>::max();
  // Once a second: a connection whose wake-up went to a worker that could not take it (it was full, or has died).
  void look();
  // Both take what waits: `most` of each listener's queue; `most` packets of the inbox, up to the first request. False:
  // nothing is left there.
  bool take_from_listeners(unsigned most);
  bool take_from_inbox(unsigned most);
  // After connections have gone: room again. Called by the worker between steps of its loop.
  void resume_if_room();

 private:
  struct Door final : Watcher {
    Door(Acceptor& a, net::Listener l) : acceptor(a), listener(std::move(l)) {}
    void on_ready(std::uint32_t) override { acceptor.accept_from(listener, 4); }
    Acceptor& acceptor;
    net::Listener listener;
    bool is_watched = false;
  };

  struct InboxDoor final : Watcher {
    InboxDoor(Acceptor& a, UniqueFd s) : acceptor(a), socket(std::move(s)) {}
    void on_ready(std::uint32_t) override {
      if (acceptor.has_enough()) return acceptor.leave_inbox();
      acceptor.take_from_inbox(4);
    }
    Acceptor& acceptor;
    UniqueFd socket;
    bool is_watched = false;
  };

  // Comes back to the inbox.
  struct Return final : Timed {
    explicit Return(Acceptor& a) : acceptor(a) {}
    void on_deadline() override { acceptor.return_to_inbox(); }
    Acceptor& acceptor;
  };

  bool has_enough() const { return allowed_ == 0; }
  void return_to_inbox();
  bool holds_inbox() const { return holds_inbox_ || has_left_inbox_; }
  bool accept_from(const net::Listener& listener, unsigned most);
  void take_over(control::Handover handover);
  Connection* add(UniqueFd socket, net::AddressText remote, const control::Handover* handover = nullptr);
  bool pause_when_full();
  Result<void> watch_doors();
  void watch_again();
  void pause();
  void try_again_later(const Error& error);
  void on_deadline() override;  // tries again after the system ran out of descriptors or memory

  ConnectionServices& services_;
  std::vector<std::unique_ptr<Door>> doors_;
  InboxDoor inbox_;
  control::IdleWorkers& idle_workers_;
  DeadlineList retrying_{std::chrono::milliseconds(200)};
  DeadlineList leaving_{std::chrono::milliseconds(5)};
  Return return_{*this};
  std::size_t allowed_ = any_number;
  bool has_left_inbox_ = false;
  bool is_watching_ = false;  // at every door that is not held
  bool is_retrying_ = false;
  bool holds_listeners_ = false;
  bool holds_inbox_ = false;
  bool is_open_ = false;
  bool has_said_full_ = false;  // once, until a tenth of the connections have gone
};

}  // namespace stint::worker
