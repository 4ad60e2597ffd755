#include "server/worker/drain.h"

#include <algorithm>

namespace stint::worker {

void Drain::begin(bool is_stopping, bool takes_waiting) {
  if (!services_.is_draining) {
    // From here on nothing new enters; only what has begun remains.
    if (is_stopping || takes_waiting) acceptor_.take_what_waits();
    if (is_stopping) acceptor_.take_inbox();
    acceptor_.stop();
    services_.is_draining = true;
    limit_.arm(*this, services_.loop.now());
    limit_process();
  }
  if (!is_stopping) return hand_over_all();
  if (services_.is_stopping) return;
  services_.is_stopping = true;
  services_.table.for_each([](Connection& connection) { connection.expect_end(); });
}

void Drain::limit_process() {
  const Result<void> limited = last_limit_.arm(timeout_ + exit_handlers_time + supervisor_first);
  if (limited.has_value()) return;
  services_.log.warning("no limit of its own",
                        {{"error", limited.error().text()}, {"next", "draining with the supervisor's"}});
}

bool Drain::waits_for_lost_calls() const {
  const std::size_t open = services_.table.open();
  if (!services_.is_draining || waits_for_timed_out_ || open == 0 || open != services_.calls.timed_out()) return false;
  const auto& calls = services_.calls.all();
  return std::all_of(calls.begin(), calls.end(),
                     [](const RunningCall& call) { return call.connection->is_left_to_call(); });
}

void Drain::hand_over_all() {
  if (!services_.hands_over()) return;
  services_.is_inbox_full = false;
  services_.table.for_each([&](Connection& connection) {
    if (!services_.is_inbox_full) connection.hand_over();
  });
  if (services_.is_inbox_full) retrying_.arm(retry_, services_.loop.now());
}

void Drain::on_deadline() {
  services_.log.warning("drain timeout", {{"connections", services_.table.open()}, {"next", "closing them"}});
  services_.table.for_each([](Connection& connection) { connection.close(); });
}

}  // namespace stint::worker
