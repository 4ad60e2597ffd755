#include "server/supervisor/worker_handle.h"

#include "stint/assert.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

namespace stint::supervisor {

using boost::asio::posix::stream_descriptor;

void wait_until_readable(stream_descriptor& descriptor, std::function<void()> handler) {
  descriptor.async_wait(stream_descriptor::wait_read,
                        [handler = std::move(handler)](const boost::system::error_code& code) {
                          if (!code) handler();
                        });
}

ExitStatus exit_status_of(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return {.exit_code = info.si_status, .signal = 0};
  return {.exit_code = 0, .signal = info.si_status};
}

WorkerHandle::WorkerHandle(boost::asio::io_context& io, WorkerId id, WorkerRecord record, StartedWorker started)
    : id_(id),
      record_(std::move(record)),
      process_(std::move(started)),
      exit_watch_(io),
      channel_watch_(io, process_.channel.fd()) {
  if (has_process()) exit_watch_.assign(process_.pidfd.get());
}

WorkerHandle::~WorkerHandle() {
  // The descriptors have owners of their own; Asio only forgets them.
  if (exit_watch_.is_open()) exit_watch_.release();
  if (channel_watch_.is_open()) channel_watch_.release();
}

void WorkerHandle::wait_for_message(std::function<void()> handler) {
  wait_until_readable(channel_watch_, std::move(handler));
}

void WorkerHandle::wait_for_exit(std::function<void()> handler) {
  wait_until_readable(exit_watch_, std::move(handler));
}

Result<void> WorkerHandle::take_process(pid_t pid) {
  const std::string doing = "watch worker " + std::to_string(record_.slot);
  siginfo_t info{};
  // Not reaped before, so the pid is still this child's.
  if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0) return system_error(doing);
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd.is_open()) return system_error(doing);
  process_.pid = pid;
  process_.pidfd = std::move(pidfd);
  exit_watch_.assign(process_.pidfd.get());
  return {};
}

StartedZygote WorkerHandle::release_zygote() {
  exit_watch_.release();
  channel_watch_.release();
  return {process_.pid, std::move(process_.pidfd), control::Channel(process_.channel.release())};
}

void WorkerHandle::kill_group() {
  if (has_process()) ::kill(-process_.pid, SIGKILL);
}

// ENOTCONN, the only error: it has ended on its other side.
void WorkerHandle::give_up() { static_cast<void>(::shutdown(process_.channel.fd(), SHUT_RDWR)); }

Result<void> WorkerHandle::send_signal(int number) {
  if (::syscall(SYS_pidfd_send_signal, process_.pidfd.get(), number, nullptr, 0) != 0)
    return system_error("signal worker " + std::to_string(record_.slot));
  return {};
}

bool WorkerHandle::has_ended() const {
  siginfo_t info{};
  return ::waitid(P_PIDFD, static_cast<id_t>(process_.pidfd.get()), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
         info.si_pid != 0;
}

std::optional<ExitStatus> reap(int pidfd) {
  siginfo_t info{};
  if (::waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG) != 0) {
    // Somebody else has reaped our child (ECHILD): it has ended all the same.
    return errno == EINTR ? std::nullopt : std::optional(ExitStatus{});
  }
  if (info.si_pid == 0) return std::nullopt;
  return exit_status_of(info);
}

bool WorkerHandle::move(WorkerEvent event, TimePoint now) {
  const auto state = next(record_.state, event);
  if (!state) return false;
  if (*state == WorkerState::ready && record_.state != WorkerState::ready) record_.ready_since = now;
  record_.state = *state;
  return true;
}

void WorkerHandle::want_replacement(RecycleReason reason, std::string detail) {
  if (record_.recycle_reason) return;  // the first reason counts
  record_.recycle_reason = reason;
  record_.recycle_detail = std::move(detail);
}

void WorkerHandle::retire(RetireCause cause, TimePoint now) {
  const bool has_moved = move(WorkerEvent::told_to_retire, now);
  STINT_ASSERT(has_moved);
  record_.retire_cause = cause;
  if (cause != RetireCause::recycle) record_.becomes_zygote = false;
  record_.retiring_since = now;
}

Duration WorkerHandle::ready_for(TimePoint now) const {
  return record_.ready_since ? std::chrono::duration_cast<Duration>(now - *record_.ready_since) : Duration{};
}

Duration WorkerHandle::start_took() const {
  return record_.ready_since ? std::chrono::duration_cast<Duration>(*record_.ready_since - record_.started)
                             : Duration{};
}

WorkerUse WorkerHandle::use(TimePoint now) const {
  return {.report = report(),
          .age = std::chrono::duration_cast<Duration>(now - record_.started),
          .descriptors = descriptors_,
          .threads = use_.threads};
}

std::string WorkerHandle::reason_text() const {
  if (record_.state == WorkerState::retiring && record_.retire_cause != RetireCause::recycle)
    return std::string(text_of(record_.retire_cause));
  if (!record_.recycle_reason) return "";
  std::string text(text_of(*record_.recycle_reason));
  if (!record_.recycle_detail.empty()) text += ": " + record_.recycle_detail;
  return text;
}

WorkerView WorkerHandle::view() const {
  const WorkerReport report = process_.status_page.report();
  return WorkerView{
      .id = id_,
      .state = record_.state,
      .started = record_.started,
      .wants_replacement = record_.recycle_reason.has_value(),
      .can_wait = record_.recycle_reason && supervisor::can_wait(*record_.recycle_reason),
      .is_killed = record_.killed.has_value(),
      .retiring_since = record_.retiring_since,
      .cause = record_.retire_cause,
      .busy_since = report.is_busy ? std::optional(report.busy_since) : std::nullopt,
      .private_memory = use_.private_memory,
      .channel_lost_at = record_.channel_lost_at,
  };
}

}  // namespace stint::supervisor
