// What crosses from the supervisor to a zygote (start = "fork"): at its start what it needs itself, as arguments and
// descriptors, and with each order to fork (control::Fork) what the new worker inherits. A zygote holds no listener, no
// inbox and no worker's channel longer than it takes to fork, so that none of them outlives its workers because of it.
#pragma once

#include "server/control/inbox.h"
#include "server/control/inheritance.h"
#include "server/control/message.h"
#include "stint/result.h"
#include "stint/unique_fd.h"

#include <string>
#include <vector>

namespace stint::control {

struct ZygoteInheritance {
  unsigned generation = 0;
  UniqueFd channel;   // has the number first_inherited_fd
  UniqueFd settings;  // the next one
};
inline constexpr int zygote_descriptors = 2;

// "zygote" and its options, without argv[0].
std::vector<std::string> zygote_arguments(unsigned generation);
// In the zygote, as take_inheritance() in a worker.
Result<ZygoteInheritance> take_zygote_inheritance(const std::vector<std::string>& arguments);

// In the supervisor: what goes with Fork, in this order. A worker that is forked needs no settings: they are loaded.
std::vector<int> descriptors_for_fork(int channel, int status_page, int connection_table, const InboxEnds& inbox,
                                      const std::vector<int>& listeners);
// In the zygote: the same again, moved out. Error: they are not all there, and stay where they are; the kernel leaves
// out what a process may not open any more (RLIMIT_NOFILE).
Result<WorkerInheritance> inheritance_of(const Fork& order, const ZygoteInheritance& zygote,
                                         std::vector<UniqueFd>& descriptors);

}  // namespace stint::control
