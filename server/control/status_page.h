// One page of shared memory for each worker: the worker writes, the supervisor reads, without a system call or a lock.
// One writer; each value is atomic by itself, values are not consistent with each other.
#pragma once

#include "stint/result.h"
#include "stint/unique_fd.h"
#include "stint/worker_report.h"

#include <atomic>
#include <cstdint>
#include <optional>

namespace stint::control {

// Of what is in the page. Another layout or another meaning is another version: a supervisor may be newer than workers
// that its former program has started.
inline constexpr std::uint32_t status_page_version = 3;

// Made by the supervisor before it starts a worker: an anonymous file to inherit.
Result<UniqueFd> make_status_page();

// The mapped page. Writer in the worker, reader in the supervisor; both outlive the descriptor.
class StatusPage {
 public:
  static Result<StatusPage> map(int fd);
  StatusPage(StatusPage&&) noexcept;
  StatusPage& operator=(StatusPage&&) noexcept;
  ~StatusPage();

  // Worker only. Relaxed stores: a few nanoseconds each, called for every request.
  void count_request();
  void count_server_error();
  void count_failure();
  void count_refusal(RefusalReason reason);
  void count_client_gone();
  void count_idle_timeout();
  void count_write_timeout();
  void count_request_timeout();
  void count_dropped_fields(unsigned fields);
  void set_connections(std::uint32_t open);
  void set_full(bool is_full);  // counts each time it becomes so
  // So many calls run; `since`: WorkerReport::busy_since.
  void set_calls(std::uint32_t calls, std::optional<TimePoint> since);
  void set_private_memory(Bytes bytes);

  // Any process.
  WorkerReport report() const;

 private:
  struct Layout;
  explicit StatusPage(Layout* page) : page_(page) {}
  Layout* page_ = nullptr;
};

}  // namespace stint::control
