#include "server/worker/balance.h"

#include "server/worker/connection.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace stint::worker {

namespace {
// How long a stuck worker may miss that another one has become idle, or that the inbox has room again. A look costs
// less than a microsecond, the wake-up for it some ten.
constexpr std::chrono::milliseconds offering_every{2};
// Requests in the inbox at once, as long as that leaves half of its room to what retiring workers put there.
constexpr std::size_t most_waiting = 512;
// How long what is in the inbox and no request waits for its next worker where all are stuck.
constexpr std::chrono::milliseconds rest_every{50};
constexpr unsigned rest_at_once = 64;
}  // namespace

Balance::Balance(ConnectionServices& services, Acceptor& acceptor, control::IdleWorkers& idle)
    : services_(services),
      acceptor_(acceptor),
      idle_(idle),
      offering_(offering_every),
      most_waiting_(std::min(most_waiting, control::room_of_inbox(services.inbox_put) / 2)),
      evening_every_(load_period) {
  services_.loop.add(offering_);
  services_.loop.add(evening_every_);
}

// Where requests wait here too, every other one is the inbox's.
void Balance::take_waiting() {
  if (!can_take() || !services_.lease.holder().calls_application) return;
  has_taken_ = services_.dispatcher.has_waiting() && !has_taken_;
  if (has_taken_ || !services_.dispatcher.has_waiting()) acceptor_.take_from_inbox(4);
}

void Balance::look() {
  const bool calls = services_.lease.holder().calls_application;
  is_on_the_way_ = false;
  if (calls && !is_stuck_ && idle_.says_idle()) return;
  if (!calls) {
    is_stuck_ = true;
    idle_.say_busy();
    return relieve();
  }
  is_on_the_way_ = services_.dispatcher.has_waiting() || can_take();
  if (is_on_the_way_) return;
  is_stuck_ = false;
  disarm();
  acceptor_.hold(false, false);
  announce();
}

void Balance::announce() {
  const TimePoint now = std::chrono::steady_clock::now();
  if (!acceptor_.has_room() || services_.is_draining) return idle_.say_gone();
  is_stuck_ ? idle_.say_busy(now) : idle_.say_idle(now);
}

void Balance::relieve() {
  if (!is_stuck_ || services_.is_draining) return;
  const TimePoint now = services_.loop.now();
  const bool has_other = idle_.has_other(now);
  acceptor_.hold(idle_.has_idle_other(now), has_other);
  while (has_other && services_.dispatcher.has_waiting() && idle_.waiting() < most_waiting_) {
    idle_.sent();  // before it can be taken
    if (services_.dispatcher.hand_over_waiting()) continue;
    idle_.took();
    break;
  }
  if (has_other) look_for_the_rest(now);
  offering_.arm(*this, now);
}

// A stuck worker leaves the inbox alone, or requests would go round among those that cannot start them. But where all
// are, who serves the other connections, that a dead or a retired worker has put there?
void Balance::look_for_the_rest(TimePoint now) {
  if (now < looked_at_ + rest_every || idle_.waiting() > 0 || !acceptor_.has_room()) return;
  looked_at_ = now;
  acceptor_.take_from_inbox(rest_at_once);
}

control::WorkLoad Balance::measure(TimePoint now) {
  const std::chrono::nanoseconds free = services_.lease.free_time();
  const double share = std::chrono::duration<double>(free - free_before_) / (now - evened_at_);
  free_before_ = free;
  evened_at_ = now;
  return {1, std::clamp(1 - share, 0.0, 1.0), std::exchange(services_.active_connections, 0)};
}

void Balance::begin_to_even_out() {
  if (services_.loop.now() > evened_at_ + 2 * load_period) even_out();
}

void Balance::even_out() {
  const TimePoint now = std::chrono::steady_clock::now();
  const control::WorkLoad own = measure(now);
  if (acceptor_.is_open() && !services_.is_draining) {
    idle_.say_load(own);
    const control::WorkLoad pool = idle_.pool_load(now);
    acceptor_.allow(connections_to_take(own, pool));
    const double share = share_to_give(own, pool);
    has_given_ = share > 0 && !has_given_;
    if (has_given_) give(share);
  }
  ++services_.period;
  if (own.connections > 0) evening_every_.arm(evening_, services_.loop.now());
}

void Balance::give(double share) {
  std::vector<Connection*> idle;
  std::vector<std::uint32_t> requests;
  std::uint64_t all = 0;
  services_.table.for_each([&](Connection& connection) {
    const std::uint32_t recent = connection.recent_requests();
    all += recent;
    if (recent == 0 || !connection.is_idle()) return;
    idle.push_back(&connection);
    requests.push_back(recent);
  });
  const std::vector<std::size_t> chosen = connections_to_give(requests, all, share);
  if (chosen.empty()) return;
  acceptor_.leave_inbox();  // whoever has less to do takes them
  std::size_t given = 0;
  while (given < chosen.size() && idle[chosen[given]]->hand_over()) ++given;
  services_.log.debug("connections given to workers that are less busy", {{"connections", given}, {"of", idle.size()}});
}

}  // namespace stint::worker
