// The supervisor's picture of one worker process: its pidfd, its end of the channel, its status page, and its times.
// Signals go through the pidfd, so that a pid used again is never hit. Owned by the Pool; supervisor's thread.
//
// A worker that a zygote was told to fork has no process yet: it begins with a channel, on which it says that it is
// there, or whose end tells that it will not come.
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
std::optional<ExitStatus> reap(int pidfd);         // of a child; nullopt: still running

// The handler is called once, when the descriptor can be read; not after the watch has gone.
void wait_until_readable(boost::asio::posix::stream_descriptor& descriptor, std::function<void()> handler);

// What has become of a worker so far, as a plain value.
struct WorkerRecord {
  unsigned slot = 0;
  unsigned generation = 0;
  TimePoint started{};
  WorkerState state = WorkerState::booting;
  std::optional<TimePoint> ready_since;
  TimePoint retiring_since{};
  RetireCause retire_cause = RetireCause::recycle;
  std::optional<RecycleReason> recycle_reason;
  std::string recycle_detail;
  std::optional<KillCause> killed;
  std::optional<TimePoint> channel_lost_at;
  bool is_serving = false;
  bool is_draining = false;
  bool is_keeper_lost = false;
  bool is_given_up = false;     // its generation will never serve
  bool is_forked = false;       // by a zygote
  bool becomes_zygote = false;  // when it has retired
};

class WorkerHandle {
 public:
  // One that has just been started has a record of its slot, its generation and its start.
  WorkerHandle(boost::asio::io_context& io, WorkerId id, WorkerRecord record, StartedWorker started);
  ~WorkerHandle();
  WorkerHandle(const WorkerHandle&) = delete;
  WorkerHandle& operator=(const WorkerHandle&) = delete;

  // The handler is called once: when a message or the channel's end can be read, or when the process has ended. The
  // event may already be under way when this handle goes, so a handler finds its worker again by id.
  void wait_for_message(std::function<void()> handler);
  void wait_for_exit(std::function<void()> handler);  // REQUIRES: has_process()

  bool has_process() const { return process_.pid > 0; }
  // The kernel's word for who has sent the next message; for a worker without a process.
  std::optional<pid_t> sender() const { return process_.channel.sender(); }
  // Of a forked worker: this is its process. Error: it is no child of ours that can be watched.
  Result<void> take_process(pid_t pid);

  Result<std::optional<control::Message>> receive() { return process_.channel.receive(); }
  Result<void> send(const control::Message& message) { return process_.channel.send(message); }
  Result<void> send_signal(int number);
  // Also to what it has started: its keeper, and the Python it asks who it is. REQUIRES: not reaped, so the pid is its
  // own.
  void kill_group();
  // Before it has a process: nobody waits for one any more. The channel ends for both sides; who comes all the same
  // ends.
  void give_up();
  bool has_ended() const;  // reaped or not; REQUIRES: has_process()
  std::optional<ExitStatus> reap() { return supervisor::reap(process_.pidfd.get()); }

  // False, and nothing done: the event is not possible in this state.
  bool move(WorkerEvent event, TimePoint now);
  void want_replacement(RecycleReason reason, std::string detail = {});
  void retire(RetireCause cause, TimePoint now);  // REQUIRES: not yet retiring
  void mark_killed(KillCause why) { record_.killed = why; }
  void mark_becoming_zygote() { record_.becomes_zygote = true; }
  // It has drained, and goes on as a zygote: what is left of it here.
  void mark_drained() { has_drained_ = true; }
  bool is_zygote_now() const { return record_.becomes_zygote && has_drained_; }
  StartedZygote release_zygote();
  void mark_serving() { record_.is_serving = true; }
  bool is_serving() const { return record_.is_serving; }  // it has been told to accept
  void mark_draining() { record_.is_draining = true; }
  bool is_draining() const { return record_.is_draining; }  // it has said that it accepts no more
  void mark_given_up() { record_.is_given_up = true; }
  void mark_keeper_lost() { record_.is_keeper_lost = true; }
  void note_use(const ProcessUse& use) { use_ = use; }
  void note_descriptors(unsigned open) { descriptors_ = open; }
  void mark_channel_lost(TimePoint now) { record_.channel_lost_at = now; }

  WorkerView view() const;

  WorkerId id() const { return id_; }
  const WorkerRecord& record() const { return record_; }
  const StartedWorker& process() const { return process_; }
  unsigned slot() const { return record_.slot; }
  unsigned generation() const { return record_.generation; }
  pid_t pid() const { return process_.pid; }
  WorkerState state() const { return record_.state; }
  TimePoint retiring_since() const { return record_.retiring_since; }
  TimePoint started() const { return record_.started; }
  bool was_ready() const { return record_.ready_since.has_value(); }
  Duration ready_for(TimePoint now) const;  // zero: never was
  std::optional<RecycleReason> recycle_reason() const { return record_.recycle_reason; }
  // Why it retires or is to be replaced, for the log: "max_requests", "worker_asked: SystemExit".
  std::string reason_text() const;
  std::optional<KillCause> killed() const { return record_.killed; }
  WorkerReport report() const { return process_.status_page.report(); }
  Duration start_took() const;  // from start to ready; zero: never was
  Bytes private_memory() const { return std::max(use_.private_memory, report().private_memory); }
  WorkerUse use(TimePoint now) const;
  const control::ConnectionTableView& connections() const { return process_.connections; }
  // The process that will rescue the connections; 0: there is none (yet, any more, or at all).
  pid_t keeper() const {
    return record_.is_keeper_lost ? 0 : process_.connections.header().keeper.load(std::memory_order_acquire);
  }

 private:
  const WorkerId id_;
  bool has_drained_ = false;
  WorkerRecord record_;
  StartedWorker process_;
  boost::asio::posix::stream_descriptor exit_watch_;     // of process_.pidfd, which it does not own
  boost::asio::posix::stream_descriptor channel_watch_;  // of process_.channel, which it does not own
  ProcessUse use_;                                       // as last looked at
  unsigned descriptors_ = 0;                             // likewise
};

}  // namespace stint::supervisor
