// How much memory this worker holds for itself alone: RssAnon of /proc/self/status (proc_pid_status(5)), which leaves
// out what file mappings share. Looked at after requests, at most every 100 ms (about 20 µs a look), and put on the
// status page, where the supervisor's recycling policy reads it.
//
// Of a forked worker RssAnon counts what it still shares with its zygote as well. There it is Private_Dirty of
// /proc/self/smaps_rollup (proc_pid_smaps(5)): pages that were written to and that no other process has. The kernel
// walks the page tables for it (0.6 ms for 63 MiB), so at most once a second.
#pragma once

#include "server/control/status_page.h"
#include "stint/bytes.h"
#include "stint/result.h"
#include "stint/settings.h"
#include "stint/unique_fd.h"
#include "stint/worker_report.h"

#include <memory>
#include <optional>

namespace stint::worker {

class PrivateMemory {
 public:
  // Above `limit` (0: none) glibc is asked to give back what it holds free before the worker is judged too large.
  static Result<std::unique_ptr<PrivateMemory>> make(control::StatusPage& page, Bytes limit, StartMode start);
  // Looks if the last look is old enough.
  void look(TimePoint now);

 private:
  PrivateMemory(control::StatusPage& page, Bytes limit, bool is_forked, UniqueFd file)
      : page_(page), limit_(limit), is_forked_(is_forked), file_(std::move(file)) {}
  std::optional<Bytes> read() const;

  control::StatusPage& page_;
  const Bytes limit_;
  const bool is_forked_;
  UniqueFd file_;
  TimePoint looked_{};
  TimePoint trimmed_{};
};

}  // namespace stint::worker
