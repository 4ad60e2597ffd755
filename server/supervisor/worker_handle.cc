#include "server/supervisor/worker_handle.h"

#include "stint/assert.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

namespace stint::supervisor {

namespace {

using boost::asio::posix::stream_descriptor;

void wait_until_readable(stream_descriptor& descriptor, std::function<void()> handler) {
  descriptor.async_wait(stream_descriptor::wait_read,
                        [handler = std::move(handler)](const boost::system::error_code& code) {
                          if (!code) handler();
                        });
}

}  // namespace

ExitStatus exit_status_of(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return {.exit_code = info.si_status, .signal = 0};
  return {.exit_code = 0, .signal = info.si_status};
}

WorkerHandle::WorkerHandle(boost::asio::io_context& io, WorkerId id, unsigned slot, unsigned generation,
                           StartedWorker started, TimePoint now)
    : id_(id),
      slot_(slot),
      generation_(generation),
      pid_(started.pid),
      started_(now),
      pidfd_(std::move(started.pidfd)),
      channel_(std::move(started.channel)),
      status_page_(std::move(started.status_page)),
      connections_(std::move(started.connections)),
      exit_watch_(io, pidfd_.get()),
      channel_watch_(io, channel_.fd()) {}

WorkerHandle::~WorkerHandle() {
  // The descriptors have owners of their own; Asio only forgets them.
  exit_watch_.release();
  channel_watch_.release();
}

void WorkerHandle::wait_for_message(std::function<void()> handler) {
  wait_until_readable(channel_watch_, std::move(handler));
}

void WorkerHandle::wait_for_exit(std::function<void()> handler) {
  wait_until_readable(exit_watch_, std::move(handler));
}

void WorkerHandle::kill_group() { ::kill(-pid_, SIGKILL); }

Result<void> WorkerHandle::send_signal(int number) {
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0) != 0)
    return system_error("signal worker " + std::to_string(slot_));
  return {};
}

bool WorkerHandle::has_ended() const {
  siginfo_t info{};
  return ::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
         info.si_pid != 0;
}

std::optional<ExitStatus> WorkerHandle::reap() {
  siginfo_t info{};
  if (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG) != 0) {
    // Somebody else has reaped our child (ECHILD): it has ended all the same.
    return errno == EINTR ? std::nullopt : std::optional(ExitStatus{});
  }
  if (info.si_pid == 0) return std::nullopt;
  return exit_status_of(info);
}

bool WorkerHandle::move(WorkerEvent event, TimePoint now) {
  const auto state = next(state_, event);
  if (!state) return false;
  if (*state == WorkerState::ready && state_ != WorkerState::ready) ready_since_ = now;
  state_ = *state;
  return true;
}

void WorkerHandle::want_replacement(RecycleReason reason, std::string detail) {
  if (recycle_reason_) return;  // the first reason counts
  recycle_reason_ = reason;
  recycle_detail_ = std::move(detail);
}

void WorkerHandle::retire(RetireCause cause, TimePoint now) {
  const bool has_moved = move(WorkerEvent::told_to_retire, now);
  STINT_ASSERT(has_moved);
  retire_cause_ = cause;
  retiring_since_ = now;
}

Duration WorkerHandle::ready_for(TimePoint now) const {
  return ready_since_ ? std::chrono::duration_cast<Duration>(now - *ready_since_) : Duration{};
}

Duration WorkerHandle::start_took() const {
  return ready_since_ ? std::chrono::duration_cast<Duration>(*ready_since_ - started_) : Duration{};
}

WorkerUse WorkerHandle::use(TimePoint now) const {
  return {.report = report(),
          .age = std::chrono::duration_cast<Duration>(now - started_),
          .descriptors = descriptors_,
          .threads = use_.threads};
}

std::string WorkerHandle::reason_text() const {
  if (state_ == WorkerState::retiring && retire_cause_ != RetireCause::recycle)
    return std::string(text_of(retire_cause_));
  if (!recycle_reason_) return "";
  std::string text(text_of(*recycle_reason_));
  if (!recycle_detail_.empty()) text += ": " + recycle_detail_;
  return text;
}

WorkerView WorkerHandle::view() const {
  const WorkerReport report = status_page_.report();
  return WorkerView{
      .id = id_,
      .state = state_,
      .started = started_,
      .wants_replacement = recycle_reason_.has_value(),
      .is_killed = killed_.has_value(),
      .retiring_since = retiring_since_,
      .cause = retire_cause_,
      .busy_since = report.is_busy ? std::optional(report.busy_since) : std::nullopt,
      .private_memory = use_.private_memory,
      .channel_lost_at = channel_lost_at_,
  };
}

}  // namespace stint::supervisor
