// How much memory this worker holds for itself alone: RssAnon of /proc/self/status (proc_pid_status(5)), which leaves
// out what file mappings share. Looked at after requests, at most every 100 ms (about 20 µs a look), and put on the
// status page, where the supervisor's recycling policy reads it.
#pragma once

#include "server/control/status_page.h"
#include "stint/bytes.h"
#include "stint/result.h"
#include "stint/unique_fd.h"
#include "stint/worker_report.h"

#include <memory>

namespace stint::worker {

class PrivateMemory {
 public:
  static Result<std::unique_ptr<PrivateMemory>> make(control::StatusPage& page);
  // Looks if the last look is old enough.
  void look(TimePoint now);

 private:
  PrivateMemory(control::StatusPage& page, UniqueFd file) : page_(page), file_(std::move(file)) {}

  control::StatusPage& page_;
  UniqueFd file_;
  TimePoint looked_{};
};

}  // namespace stint::worker
