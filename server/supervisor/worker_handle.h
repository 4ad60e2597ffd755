// The supervisor's picture of one worker process: its pidfd, its end of the channel, its status page, and its times.
// Signals go through the pidfd, so that a pid used again is never hit. Owned by the Pool; supervisor's thread.
#pragma once

#include "server/control/message.h"
#include "server/supervisor/process_use.h"
#include "server/supervisor/recycling_policy.h"
#include "server/supervisor/rollout.h"
#include "server/supervisor/spawner.h"
#include "server/supervisor/worker_state.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <algorithm>
#include <csignal>
#include <functional>
#include <optional>
#include <string>

namespace stint::supervisor {

// How a process ended.
struct ExitStatus {
  int exit_code = 0;  // when signal is 0
  int signal = 0;
};
ExitStatus exit_status_of(const siginfo_t& info);  // as waitid(2) has filled it

class WorkerHandle {
 public:
  WorkerHandle(boost::asio::io_context& io, WorkerId id, unsigned slot, unsigned generation, StartedWorker started,
               TimePoint now);
  ~WorkerHandle();
  WorkerHandle(const WorkerHandle&) = delete;
  WorkerHandle& operator=(const WorkerHandle&) = delete;

  // The handler is called once: when a message or the channel's end can be read, or when the process has ended. The
  // event may already be under way when this handle goes, so a handler finds its worker again by id.
  void wait_for_message(std::function<void()> handler);
  void wait_for_exit(std::function<void()> handler);

  Result<std::optional<control::Message>> receive() { return channel_.receive(); }
  Result<void> send(const control::Message& message) { return channel_.send(message); }
  Result<void> send_signal(int number);
  // Also to what it has started: its keeper, and the Python it asks who it is. REQUIRES: not reaped, so the pid is its
  // own.
  void kill_group();
  bool has_ended() const;            // reaped or not
  std::optional<ExitStatus> reap();  // nullopt: still running

  // False, and nothing done: the event is not possible in this state.
  bool move(WorkerEvent event, TimePoint now);
  void want_replacement(RecycleReason reason, std::string detail = {});
  void retire(RetireCause cause, TimePoint now);  // REQUIRES: not yet retiring
  void mark_killed(KillCause why) { killed_ = why; }
  void mark_serving() { is_serving_ = true; }
  bool is_serving() const { return is_serving_; }  // it has been told to accept
  void mark_draining() { is_draining_ = true; }
  bool is_draining() const { return is_draining_; }  // it has said that it accepts no more
  void mark_keeper_lost() { is_keeper_lost_ = true; }
  void note_use(const ProcessUse& use) { use_ = use; }
  void note_descriptors(unsigned open) { descriptors_ = open; }
  void mark_channel_lost(TimePoint now) { channel_lost_at_ = now; }

  WorkerView view() const;

  WorkerId id() const { return id_; }
  unsigned slot() const { return slot_; }
  unsigned generation() const { return generation_; }
  pid_t pid() const { return pid_; }
  WorkerState state() const { return state_; }
  TimePoint retiring_since() const { return retiring_since_; }
  TimePoint started() const { return started_; }
  bool was_ready() const { return ready_since_.has_value(); }
  Duration ready_for(TimePoint now) const;  // zero: never was
  std::optional<RecycleReason> recycle_reason() const { return recycle_reason_; }
  // Why it retires or is to be replaced, for the log: "max_requests", "worker_asked: SystemExit".
  std::string reason_text() const;
  std::optional<KillCause> killed() const { return killed_; }
  WorkerReport report() const { return status_page_.report(); }
  Duration start_took() const;  // from start to ready; zero: never was
  Bytes private_memory() const { return std::max(use_.private_memory, report().private_memory); }
  WorkerUse use(TimePoint now) const;
  const control::ConnectionTableView& connections() const { return connections_; }
  // The process that will rescue the connections; 0: there is none (yet, any more, or at all).
  pid_t keeper() const { return is_keeper_lost_ ? 0 : connections_.header().keeper.load(std::memory_order_acquire); }

 private:
  const WorkerId id_;
  const unsigned slot_;
  const unsigned generation_;
  const pid_t pid_;
  const TimePoint started_;
  UniqueFd pidfd_;
  control::Channel channel_;
  control::StatusPage status_page_;
  control::ConnectionTableView connections_;
  boost::asio::posix::stream_descriptor exit_watch_;     // of pidfd_, which it does not own
  boost::asio::posix::stream_descriptor channel_watch_;  // of channel_, which it does not own

  WorkerState state_ = WorkerState::booting;
  std::optional<TimePoint> ready_since_;
  TimePoint retiring_since_{};
  RetireCause retire_cause_ = RetireCause::recycle;
  std::optional<RecycleReason> recycle_reason_;
  std::string recycle_detail_;
  std::optional<KillCause> killed_;
  std::optional<TimePoint> channel_lost_at_;
  bool is_serving_ = false;
  bool is_draining_ = false;
  bool is_keeper_lost_ = false;
  ProcessUse use_;            // as last looked at
  unsigned descriptors_ = 0;  // likewise
};

}  // namespace stint::supervisor
