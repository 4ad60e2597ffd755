// All that crosses from the supervisor to a new worker: one named struct, as arguments and descriptors. The settings
// are the TOML text of config::to_toml in an anonymous file, so that a file edited meanwhile cannot mix two versions.
#pragma once

#include "stint/result.h"
#include "stint/unique_fd.h"

#include <chrono>
#include <string>
#include <vector>

namespace stint::control {

struct WorkerInheritance {
  unsigned slot = 0;
  unsigned generation = 0;
  std::chrono::milliseconds startup_timeout{0};  // of one that is forked; 0: none
  UniqueFd channel;
  UniqueFd settings;
  UniqueFd status_page;
  UniqueFd connection_table;
  UniqueFd inbox_put;
  UniqueFd inbox_take;
  UniqueFd idle_workers;
  std::vector<UniqueFd> listeners;
};

// The numbers the descriptors have in the worker: in the order of WorkerInheritance from 3 on, the listeners last.
inline constexpr int first_inherited_fd = 3;
inline constexpr int first_listener_fd = first_inherited_fd + 7;

// Whether it is the end of a channel: what somebody who typed an internal command has there is not.
bool is_channel(int fd);

// "worker" and its options, without argv[0].
std::vector<std::string> worker_arguments(unsigned slot, unsigned generation, unsigned listeners);
// In the worker: takes ownership of the inherited descriptors and sets close-on-exec on each. Error: not started by a
// supervisor.
Result<WorkerInheritance> take_inheritance(const std::vector<std::string>& arguments);

}  // namespace stint::control
