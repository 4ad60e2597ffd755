// The end of a worker's serving: nothing new enters, what has begun is finished, and every kept-alive connection gets
// an announced "Connection: close" with its next answer. What is left after app.recycle.drain_timeout is closed.
//
// This is the seam for handing connections over to another worker instead of closing them.
#pragma once

#include "server/worker/acceptor.h"
#include "server/worker/connection_services.h"
#include "server/worker/deadlines.h"

#include <chrono>

namespace stint::worker {

class Drain final : private Timed {
 public:
  Drain(ConnectionServices& services, Acceptor& acceptor, std::chrono::milliseconds timeout)
      : services_(services), acceptor_(acceptor), limit_(timeout) {
    services_.loop.add(limit_);
  }

  // `is_stopping`: no other worker will take over, so connections waiting in the listeners are taken first, and idle
  // ones are closed after a second. A second call can only make it a stop.
  void begin(bool is_stopping);
  bool has_begun() const { return services_.is_draining; }
  bool is_over() const { return services_.is_draining && services_.table.is_empty(); }

 private:
  void on_deadline() override;

  ConnectionServices& services_;
  Acceptor& acceptor_;
  DeadlineList limit_;
};

}  // namespace stint::worker
