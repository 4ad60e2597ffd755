// How the load of a pool's workers becomes even though clients keep their connections: four times a second each worker
// tells the others how busy it was and how many connections kept it so (control::IdleWorkers); one that is busier than
// they are on average gives the difference away, as connections that are idle for the moment and were not before. They
// go through the inbox; whoever is less busy takes so many that it is as busy as all.
//
// Here are the decisions; Balance measures, gives and takes. They do not swing: what is given is at most what is too
// much, so that one connection which makes most of the load stays where it is.
#pragma once

#include "server/control/idle_workers.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace stint::worker {

inline constexpr std::chrono::milliseconds load_period{250};

// The part of its load that a worker gives away; 0: none. `pool`: all workers, this one among them.
double share_to_give(const control::WorkLoad& own, const control::WorkLoad& pool);

// Which connections that is: the fewest, by how many requests each has had. `all`: requests of this worker's
// connections, those that cannot go included.
std::vector<std::size_t> connections_to_give(std::span<const std::uint32_t> requests, std::uint64_t all, double share);

// How many connections a worker takes before it leaves the next ones to others.
inline constexpr std::size_t any_number = std::numeric_limits<std::size_t>::max();
std::size_t connections_to_take(const control::WorkLoad& own, const control::WorkLoad& pool);

}  // namespace stint::worker
