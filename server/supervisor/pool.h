// The workers of one application: owns their handles, draws the picture for rollout, and applies its steps. Run by the
// supervisor's one thread; woken by messages, exits, ticks and the operator.
#pragma once

#include "server/supervisor/autoscaling.h"
#include "server/supervisor/generation.h"
#include "server/supervisor/memory_budget.h"
#include "server/supervisor/oom_kills.h"
#include "server/supervisor/reload.h"
#include "server/supervisor/reload_report.h"
#include "server/supervisor/restart_backoff.h"
#include "server/supervisor/rollout.h"
#include "server/supervisor/spawner.h"
#include "server/supervisor/status.h"
#include "server/supervisor/trace_round.h"
#include "server/supervisor/upgrade_state.h"
#include "server/supervisor/worker_handle.h"
#include "server/supervisor/zygote_handle.h"
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
  // `log` outlives the Pool. `on_change` is called after anything has happened to a worker.
  Pool(boost::asio::io_context& io, std::unique_ptr<Generation> generation, Log& log, std::function<void()> on_change);
  ~Pool();

  void start();  // all slots at once
  // Instead of start(), with the workers of the program that ran in this process before. Its upgrade is the reload that
  // follows. Checked before (check_adoption); an error leaves the rest of the descriptors to whoever they are handed
  // to.
  Result<void> adopt(const PoolState& state, const std::string& former_version);
  // Looks at status pages and clocks: no system call unless something is to be done, or a limit is set that only the
  // kernel can tell about.
  void tick();
  // A child that is no worker has ended and is reaped: perhaps a worker's keeper.
  void on_child_end(pid_t pid, const ExitStatus& exit);

  // Replaces workers, one after the other. The slot's number, or nullopt for all. Returns how many will be replaced.
  unsigned recycle(std::optional<unsigned> slot, RecycleReason reason);
  // Starts `generation` beside the one that serves; it takes over, or nothing changes. One that is coming already is
  // given up for it. `on_take_over`: from here on the new generation's settings count. `on_give_up`: they never will,
  // and no newer ones have come instead.
  void reload(std::unique_ptr<Generation> generation, const ReloadSettings& settings,
              std::vector<SettingsChange> changes, std::function<void()> on_take_over,
              std::function<void()> on_give_up);
  // A reload that failed before a worker was started. One that is under way is given up too: it is not what was asked
  // for last.
  void refuse_reload(std::string step, std::string error, std::string detail);
  // Settings that cost nothing, without a new generation; `settings_toml` is what workers read that start from here on.
  // Error: it cannot be kept for them, and nothing has changed.
  Result<void> take_up(const Settings& settings, const std::string& settings_toml, std::vector<SettingsChange> changes);
  // An upgrade of the program, from its rehearsal to the reload behind it. REQUIRES: !is_reloading().
  void begin_upgrade();
  void fail_upgrade(std::string step, std::string error);
  bool is_upgrading() const;  // and no generation is coming yet
  PoolState state() const;    // for the new program; while no generation is coming
  unsigned next_generation() { return ++last_generation_; }
  unsigned generation() const { return serving_->number; }
  bool is_reloading() const {
    return report_.state == ReloadReport::State::running || report_.state == ReloadReport::State::passing;
  }
  const ReloadReport& reload_report() const { return report_; }
  void close_listeners();  // workers alone have them from here on

  // Has workers tell what their running requests do: that of the slot, or all; those that start do not serve and are
  // not asked. `done` is called later. False: there is none to ask.
  bool trace(std::optional<unsigned> slot, std::function<void(const std::vector<WorkerTrace>&)> done);

  void reopen_logs();
  void grow();    // one slot more
  void shrink();  // one slot less, never the last

  // Workers that are there and those to come: each answer says `Connection: close`.
  void announce_closes();
  void stop();          // all retire; after drain_timeout and 10 s they are killed
  void stop_at_once();  // all are killed

  // Safety: with has_failed_start() no worker has ever been ready.
  bool has_failed_start() const { return has_failed_start_; }
  bool is_empty() const { return workers_.empty() && keepers_left_.empty() && zygotes_.empty(); }
  bool has_process(pid_t pid) const;  // it is one of its workers or zygotes
  bool waits_for_forks() const;       // a child that nobody knows may be one of its workers
  unsigned ready_count() const;       // slots with a ready worker of the generation that serves
  // Some serve, and each of the other slots has failed at least once, and is tried again.
  bool has_started() const;
  unsigned count() const { return count_; }
  PoolStatus status() const;

 private:
  struct Slot {
    unsigned failures = 0;  // in a row
    TimePoint not_before{};
  };

  const AppSettings& app() const { return serving_->app; }
  std::set<unsigned> ready_slots() const;
  PoolView draw() const;
  void advance();  // asks rollout for the next steps and does them
  void look_at_processes(TimePoint now);
  void recycle_what_reached_a_limit(TimePoint now);

  void apply(const Start& step, TimePoint now);
  void apply(const Retire& step, TimePoint now);
  void apply(const Kill& step, TimePoint now);

  void tell_of_closes(WorkerHandle& worker);
  void tell_to_retire(WorkerHandle& worker);
  void watch_channel(WorkerHandle& worker);
  void watch_exit(WorkerHandle& worker);
  void on_channel(WorkerId id);
  void on_exit(WorkerId id);
  void finish(WorkerHandle& worker, const ExitStatus& exit, TimePoint now);
  void read_messages(WorkerHandle& worker, TimePoint now);
  void on_message(WorkerHandle& worker, const control::Message& message, TimePoint now);
  void on_start_failed(const WorkerHandle& worker, const LoadFailure& failure);
  void fail_start();

  // pool_reload.cc
  void begin_report(unsigned to, std::vector<SettingsChange> changes);
  void advance_reload(TimePoint now);
  ComingView draw_coming(TimePoint now) const;
  void serve_canaries();
  void take_over(TimePoint now);
  void finish_reload(TimePoint now);
  void roll_back(const std::string& step, const std::string& error, const std::string& detail);
  void give_up_coming(TimePoint now);
  void end_report(ReloadReport::State state);
  bool is_coming(const WorkerHandle& worker) const;
  bool is_tried() const;                 // what is coming, by clients, for as long as that takes
  bool is_changing_generations() const;  // and that is soon over
  void keep_listeners_in_mind(const Generation& before, const Generation& next);
  std::string_view step_of_end(const WorkerHandle& worker) const;
  bool is_former(const WorkerHandle& worker) const;
  MemoryView draw_memory(Bytes budget, bool without_coming = false) const;
  void note_failed_replacement(const WorkerHandle& worker, const std::string& step, const std::string& error,
                               const std::string& detail);
  bool has_stopped_accepting(const WorkerHandle& worker, TimePoint now) const;
  void let_serve(WorkerHandle& worker);
  void note_steps(const std::vector<StartStep>& steps, TimePoint::duration took);

  // pool_scaling.cc
  unsigned count_for(const WorkersSettings& settings) const;  // when those count from now on
  bool is_scaled_by_load() const;                             // and not by TTIN and TTOU, which is said
  unsigned to_come_beside() const;
  void scale(TimePoint now);
  PoolLoad draw_load() const;
  void keep_to_budget(TimePoint now);

  // pool_zygote.cc
  Result<std::optional<StartedWorker>> start_process(const Generation& generation, unsigned slot, TimePoint now);
  ZygoteHandle* zygote_of(unsigned generation);  // the one that stays; null: there is none
  ZygoteHandle* find_zygote(std::uint64_t id);
  void start_zygote(const Generation& generation, TimePoint now);
  void refork_if_due();
  void turn_into_zygote(WorkerHandle& worker, TimePoint now);
  void fork_all_again(const ZygoteHandle& from, TimePoint now);
  void watch_zygote(ZygoteHandle& zygote);
  void on_zygote_channel(std::uint64_t id);
  void on_zygote_exit(std::uint64_t id);
  bool read_zygote(ZygoteHandle& zygote, TimePoint now);
  void take_note_of_end(const ZygoteHandle& zygote, const ExitStatus& exit, TimePoint now);
  Duration back_off_zygote(bool has_served, TimePoint now);
  void tend_zygotes(TimePoint now);
  static void kill_late(ZygoteHandle& zygote);
  void kill_zygotes();
  void give_up_fork(WorkerHandle& worker, KillCause why);
  void introduce(WorkerHandle& worker, std::optional<pid_t> sender);
  Bytes own_memory(const WorkerHandle& worker, Bytes anonymous, bool is_time);
  void add_zygotes(MemoryView& view, bool without_coming) const;
  std::vector<ZygoteStatus> zygote_status() const;

  TraceRound* find_trace(unsigned number);

  // pool_upgrade.cc
  Result<void> adopt_worker(const WorkerUnderUpgrade& worker);

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
  Log& log_;
  const std::function<void()> on_change_;

  // Changes of code and settings come with another generation; recycling keeps it.
  std::unique_ptr<Generation> serving_;
  std::unique_ptr<Generation> coming_;  // null but during a reload, until it takes over
  struct ComingReload {
    Reload plan;
    std::function<void()> on_take_over;
    std::function<void()> on_give_up;
  };
  std::optional<ComingReload> reload_;  // with coming_
  ReloadReport report_;                 // of the last reload
  TimePoint reload_began_{};
  unsigned last_generation_;
  unsigned count_;
  std::set<unsigned> listens_elsewhere_;  // generations whose workers may listen where the serving one does not
  bool is_stopping_ = false;
  bool announces_closes_ = false;
  bool has_been_ready_ = false;  // any worker, ever
  bool has_failed_start_ = false;
  std::vector<Slot> slots_;                                    // [slot - 1]; never fewer than any worker's
  std::map<WorkerId, std::unique_ptr<WorkerHandle>> workers_;  // by age
  std::uint64_t next_id_ = 1;

  // With start = "fork". Safety: of each generation at most one stays; beside it there may be one that starts, out of a
  // worker. Progress: the serving one has one that is ready or on its way, unless it waits for zygote_not_before_.
  std::vector<std::unique_ptr<ZygoteHandle>> zygotes_;
  std::uint64_t next_zygote_id_ = 1;
  unsigned zygote_failures_ = 0;  // in a row, of the serving generation
  TimePoint zygote_not_before_{};
  unsigned unfit_generation_ = 0;  // a worker of it was not fit to become a zygote; 0: none

  // Of workers that are gone. A keeper ends some milliseconds after its worker.
  std::set<pid_t> keepers_left_;

  std::vector<std::unique_ptr<TraceRound>> traces_;
  unsigned last_trace_ = 0;

  Autoscaling autoscaling_;
  TimePoint next_memory_alarm_{};
  TimePoint next_budget_look_{};
  OomKills oom_kills_;
  TimePoint next_count_{};  // of descriptors and threads
  TimePoint next_private_look_{};
  TimePoint next_alarm_{};  // about limits that are too low
  std::map<RecycleReason, std::uint64_t> recycled_;
  std::uint64_t restarts_ = 0;
  WorkerCounts former_;  // of workers that are gone
};

}  // namespace stint::supervisor
