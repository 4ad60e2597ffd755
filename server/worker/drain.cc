#include "server/worker/drain.h"

#include <algorithm>

namespace stint::worker {

namespace {
// Of each listener's queue, and packets of the inbox, in a turn.
constexpr unsigned at_a_time = 16;
// After it whoever is left takes all that waits: where connections come faster than the turns take them there would be
// no end.
constexpr std::chrono::seconds turns_time{1};
}  // namespace

void Drain::begin(bool is_stopping, bool takes_waiting) {
  const bool is_first = !services_.is_draining;
  const bool has_served = acceptor_.is_open();
  const bool waits_for_inbox = acceptor_.waits_for_inbox();
  if (is_first) {
    acceptor_.close();
    services_.is_draining = true;
    if (!is_stopping) take_last(has_served, waits_for_inbox, takes_waiting);
    // From here on nothing new enters; only what has begun or waits remains.
    limit_.arm(*this, services_.loop.now());
    last_limit_.arm_behind_supervisor(limit_.length() + exit_handlers_time, services_.log);
    if (!is_stopping) acceptor_.stop();
  }
  if (!is_stopping) return hand_over_all();
  if (services_.is_stopping) return;
  services_.is_stopping = true;
  services_.table.for_each([](Connection& connection) { connection.expect_end(); });
  if (!is_first) return;
  if (!has_served) return acceptor_.stop();  // who was never told to serve takes nothing at the end either
  is_taking_ = true;
  stopping_since_ = services_.loop.now();
  take_turn();
}

// What this worker may have been woken for, and nobody else; or all that waits in a listener that goes.
void Drain::take_last(bool has_served, bool waits_for_inbox, bool takes_waiting) {
  if (waits_for_inbox) acceptor_.take_from_inbox(1);
  if (!takes_waiting) return has_served ? void(acceptor_.take_from_listeners(1)) : void();
  acceptor_.retry_now();
  acceptor_.take_from_listeners(Acceptor::everything);
  while (services_.table.is_full()) {  // there may be more
    hand_over_all();
    if (services_.table.is_full()) return;
    acceptor_.take_from_listeners(Acceptor::everything);
  }
}

// One worker that took all at once would serve it one after the other, while those beside it have nothing to do.
void Drain::take_turn() {
  const bool is_last = services_.loop.now() - stopping_since_ > turns_time;
  const unsigned most = is_last ? Acceptor::everything : at_a_time;
  if (is_last) acceptor_.retry_now();
  const bool listeners_have_more = acceptor_.take_from_listeners(most);
  const bool inbox_has_more = acceptor_.take_from_inbox(most);
  if (is_last || !(listeners_have_more || inbox_has_more)) return end_turns();
  taking_turns_.arm(turn_, services_.loop.now());
}

void Drain::end_turns() {
  is_taking_ = false;
  turn_.disarm();
  acceptor_.stop();
}

bool Drain::waits_for_lost_calls() const {
  const std::size_t open = services_.table.open();
  if (!services_.is_draining || is_taking_ || waits_for_timed_out_) return false;
  if (open == 0 || open != services_.calls.timed_out()) return false;
  const auto& calls = services_.calls.all();
  return std::all_of(calls.begin(), calls.end(),
                     [](const RunningCall& call) { return call.connection->is_left_to_call(); });
}

void Drain::look() {
  const bool is_armed = retrying_.next_due() != TimePoint::max();
  if (services_.hands_over() && services_.is_inbox_full && !is_armed) retrying_.arm(retry_, services_.loop.now());
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
  if (is_taking_) end_turns();
  waits_for_timed_out_ = false;
  services_.table.for_each([](Connection& connection) { connection.give_up(); });
}

}  // namespace stint::worker
