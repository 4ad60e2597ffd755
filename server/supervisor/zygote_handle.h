// The supervisor's picture of one zygote (start = "fork"), as WorkerHandle is of a worker. Owned by the Pool;
// supervisor's thread.
//
//   starting ──"ready"──> ready ──retire()──> retiring ──exit──> gone
//      └──"start failed", exit, startup_timeout: SIGKILL──────────^
#pragma once

#include "server/control/channel.h"
#include "server/supervisor/spawner.h"
#include "server/supervisor/worker_handle.h"
#include "stint/runtime.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

namespace stint::supervisor {

enum class ZygoteState { starting, ready, retiring };
std::string_view text_of(ZygoteState state);

class ZygoteHandle {
 public:
  ZygoteHandle(boost::asio::io_context& io, std::uint64_t id, unsigned generation, TimePoint started,
               StartedZygote process, bool was_worker = false);
  ~ZygoteHandle();
  ZygoteHandle(const ZygoteHandle&) = delete;
  ZygoteHandle& operator=(const ZygoteHandle&) = delete;

  // As those of WorkerHandle.
  void wait_for_message(std::function<void()> handler);
  void wait_for_exit(std::function<void()> handler);
  Result<std::optional<control::Message>> receive() { return process_.channel.receive(); }
  Result<void> send(const control::Message& message) { return process_.channel.send(message); }
  control::Channel& channel() { return process_.channel; }  // REQUIRES: ready
  std::optional<ExitStatus> reap() { return supervisor::reap(process_.pidfd.get()); }

  void mark_ready(TimePoint now);
  void note_failure(LoadFailure failure) { failure_ = std::move(failure); }  // it has told why it cannot start
  // It ends when it has forked what it was told to: its channel's end says so.
  void retire(TimePoint now);
  void kill();
  // With those that it has forked and that have not introduced themselves: they are in its process group until then.
  void kill_group();
  void mark_late() { is_late_ = true; }

  std::uint64_t id() const { return id_; }
  pid_t pid() const { return process_.pid; }
  unsigned generation() const { return generation_; }
  ZygoteState state() const { return state_; }
  bool was_ready() const { return ready_since_.has_value(); }
  TimePoint started() const { return started_; }
  TimePoint retiring_since() const { return retiring_since_; }
  Duration ready_for(TimePoint now) const;  // zero: never was
  const std::optional<LoadFailure>& failure() const { return failure_; }
  bool was_worker() const { return was_worker_; }  // it has grown out of one (app.recycle.refork_after)
  bool is_killed() const { return is_killed_; }
  bool is_late() const { return is_late_; }  // killed for not being ready, or not forking, in time

 private:
  const std::uint64_t id_;
  const unsigned generation_;
  const TimePoint started_;
  const bool was_worker_;
  StartedZygote process_;
  ZygoteState state_ = ZygoteState::starting;
  std::optional<TimePoint> ready_since_;
  TimePoint retiring_since_{};
  std::optional<LoadFailure> failure_;
  bool is_killed_ = false;
  bool is_late_ = false;
  boost::asio::posix::stream_descriptor exit_watch_;     // of process_.pidfd, which it does not own
  boost::asio::posix::stream_descriptor channel_watch_;  // of process_.channel, which it does not own
};

}  // namespace stint::supervisor
