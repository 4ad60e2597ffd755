// What stands against forking this process, by name. A fork copies the memory of all threads and the one that forks: a
// lock that another thread holds stays locked for ever in the child. And it shares connections: two workers that talk
// to a database over one socket read each other's answers. So a zygote that has such serves no forks, and says which.
// Any process; the zygote asks about itself after the import and the warm-up requests.
//
// Told from the kernel's view of the process (/proc/self), so that nothing is missed that Python does not know of.
#pragma once

#include "stint/result.h"
#include "stint/runtime.h"
#include "stint/unique_fd.h"

#include <string>
#include <vector>

namespace stint::zygote {

// A sentence for each: "thread 'metrics-flusher' runs", "thread 'grpc-poller', which Python does not know, runs",
// "descriptor 9 is a connection to 127.0.0.1:5432", "descriptor 7 is the open database /srv/site/db.sqlite3". Of
// `python`, the names of threads count. `own` are descriptors that are ours. Error: /proc cannot be read.
Result<std::vector<std::string>> obstacles_to_forking(const std::vector<NamedThread>& python,
                                                      const std::vector<int>& own);

}  // namespace stint::zygote
