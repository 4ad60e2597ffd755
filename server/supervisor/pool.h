// The workers of one application: owns their handles, draws the picture for rollout, and applies its steps. Run by the
// supervisor's one thread; woken by messages, exits, ticks and the operator.
#pragma once

#include "server/supervisor/oom_kills.h"
#include "server/supervisor/restart_backoff.h"
#include "server/supervisor/rollout.h"
#include "server/supervisor/spawner.h"
#include "server/supervisor/status.h"
#include "server/supervisor/worker_handle.h"
#include "stint/log.h"
#include "stint/settings.h"

#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace stint::supervisor {

class Pool {
 public:
  // `settings`, `spawner` and `log` outlive the Pool. `on_change` is called after anything has happened to a worker.
  Pool(boost::asio::io_context& io, const AppSettings& settings, Spawner& spawner, Log& log,
       std::function<void()> on_change);
  ~Pool();

  void start();  // all slots at once
  // Looks at status pages and clocks: no system call unless something is to be done, or a limit is set that only the
  // kernel can tell about.
  void tick();
  // A child that is no worker has ended and is reaped: perhaps a worker's keeper.
  void on_child_end(pid_t pid, const ExitStatus& exit);

  // Replaces workers, one after the other. The slot's number, or nullopt for all. Returns how many will be replaced.
  unsigned recycle(std::optional<unsigned> slot, RecycleReason reason);
  void reopen_logs();
  void grow();    // one slot more
  void shrink();  // one slot less, never the last

  void stop();          // all retire; after drain_timeout and 10 s they are killed
  void stop_at_once();  // all are killed

  // Safety: with has_failed_start() no worker has ever been ready.
  bool has_failed_start() const { return has_failed_start_; }
  bool is_empty() const { return workers_.empty() && keepers_left_.empty(); }
  bool has_process(pid_t pid) const;
  bool is_complete() const;  // as many ready workers as slots
  unsigned count() const { return count_; }
  PoolStatus status() const;

 private:
  struct Slot {
    unsigned failures = 0;  // in a row
    TimePoint not_before{};
  };

  PoolView draw() const;
  void advance();  // asks rollout for the next steps and does them
  void look_at_processes(TimePoint now);
  void recycle_what_reached_a_limit(TimePoint now);

  void apply(const Start& step, TimePoint now);
  void apply(const Retire& step, TimePoint now);
  void apply(const Kill& step, TimePoint now);

  void watch_channel(WorkerHandle& worker);
  void watch_exit(WorkerHandle& worker);
  void on_channel(WorkerId id);
  void on_exit(WorkerId id);
  void read_messages(WorkerHandle& worker, TimePoint now);
  void on_message(WorkerHandle& worker, const control::Message& message, TimePoint now);
  void on_start_failed(const WorkerHandle& worker, const LoadFailure& failure);
  void fail_start();
  std::string early_end_text(const WorkerHandle& worker, const ExitStatus& exit) const;
  // Counts an unasked end or a failed start of the slot; how long it has to wait now.
  Duration back_off(unsigned slot, bool has_served, TimePoint now);
  void log_exit(const WorkerHandle& worker, const ExitStatus& exit, bool is_expected, const std::string& next_text);
  void log_killers(const WorkerHandle& worker, TimePoint now);
  std::string_view cause_of_death(const WorkerHandle& worker, const ExitStatus& exit);
  void leave_keeper(const WorkerHandle& worker);

  WorkerHandle* find(WorkerId id);
  bool has_other_worker(const WorkerHandle& worker) const;  // in its slot, and staying

  boost::asio::io_context& io_;
  const AppSettings& settings_;
  Spawner& spawner_;
  Log& log_;
  const std::function<void()> on_change_;

  // Changes of code and settings come with another generation; recycling keeps it.
  const unsigned generation_ = 1;
  unsigned count_;
  bool is_stopping_ = false;
  bool has_been_ready_ = false;  // any worker, ever
  bool has_failed_start_ = false;
  std::vector<Slot> slots_;                                    // [slot - 1]; never fewer than count_
  std::map<WorkerId, std::unique_ptr<WorkerHandle>> workers_;  // by age
  std::uint64_t next_id_ = 1;

  // Of workers that are gone. A keeper ends some milliseconds after its worker.
  std::set<pid_t> keepers_left_;

  OomKills oom_kills_;
  TimePoint next_count_{};  // of descriptors and threads
  TimePoint next_alarm_{};  // about limits that are too low
  std::map<RecycleReason, std::uint64_t> recycled_;
  std::uint64_t restarts_ = 0;
  WorkerCounts former_;  // of workers that are gone
};

}  // namespace stint::supervisor
