#include "server/worker/even_load.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace stint::worker {

namespace {

// A worker that is less busy than this has no load to speak of.
constexpr double least_busy = 0.05;
// The same load differs by some percent from period to period.
constexpr double tolerance = 1.08;
// At a time: what retiring workers put into the inbox has to find room.
constexpr std::size_t most_at_once = 64;

double average(const control::WorkLoad& pool) { return pool.busy / pool.workers; }

}  // namespace

double share_to_give(const control::WorkLoad& own, const control::WorkLoad& pool) {
  if (pool.workers < 2 || own.busy < least_busy || own.busy < tolerance * average(pool)) return 0;
  return 1 - average(pool) / own.busy;
}

std::vector<std::size_t> connections_to_give(std::span<const std::uint32_t> requests, std::uint64_t all, double share) {
  std::vector<std::size_t> by_requests(requests.size());
  std::iota(by_requests.begin(), by_requests.end(), 0);
  std::sort(by_requests.begin(), by_requests.end(), [&](auto a, auto b) { return requests[a] > requests[b]; });
  std::vector<std::size_t> chosen;
  double too_many = share * static_cast<double>(all);
  for (const std::size_t connection : by_requests) {
    if (chosen.size() == most_at_once) break;
    if (requests[connection] == 0 || requests[connection] > too_many) continue;
    too_many -= requests[connection];
    chosen.push_back(connection);
  }
  return chosen;
}

std::size_t connections_to_take(const control::WorkLoad& own, const control::WorkLoad& pool) {
  if (pool.workers < 2 || pool.connections == 0 || average(pool) < least_busy) return any_number;
  const double of_a_connection = pool.busy / pool.connections;
  const double missing = std::max(average(pool) - own.busy, 0.0);
  return static_cast<std::size_t>(std::ceil(missing / of_a_connection));
}

}  // namespace stint::worker
