#include "server/supervisor/zygote_handle.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <utility>

namespace stint::supervisor {

std::string_view text_of(ZygoteState state) {
  switch (state) {
    case ZygoteState::starting:
      return "starting";
    case ZygoteState::ready:
      return "ready";
    case ZygoteState::retiring:
      return "retiring";
  }
  return "";
}

ZygoteHandle::ZygoteHandle(boost::asio::io_context& io, std::uint64_t id, unsigned generation, TimePoint started,
                           StartedZygote process, bool was_worker)
    : id_(id),
      generation_(generation),
      started_(started),
      was_worker_(was_worker),
      process_(std::move(process)),
      exit_watch_(io, process_.pidfd.get()),
      channel_watch_(io, process_.channel.fd()) {}

ZygoteHandle::~ZygoteHandle() {
  // The descriptors have owners of their own; Asio only forgets them.
  exit_watch_.release();
  if (channel_watch_.is_open()) channel_watch_.release();
}

void ZygoteHandle::wait_for_message(std::function<void()> handler) {
  if (channel_watch_.is_open()) wait_until_readable(channel_watch_, std::move(handler));
}

void ZygoteHandle::wait_for_exit(std::function<void()> handler) {
  wait_until_readable(exit_watch_, std::move(handler));
}

void ZygoteHandle::mark_ready(TimePoint now) {
  state_ = ZygoteState::ready;
  ready_since_ = now;
}

void ZygoteHandle::retire(TimePoint now) {
  state_ = ZygoteState::retiring;
  retiring_since_ = now;
  channel_watch_.release();
  static_cast<void>(process_.channel.release());
}

// ESRCH, the only error: it has ended, and its exit is on its way here.
void ZygoteHandle::kill() {
  is_killed_ = true;
  static_cast<void>(::syscall(SYS_pidfd_send_signal, process_.pidfd.get(), SIGKILL, nullptr, 0));
}

// It is not reaped, so the number is still its group's.
void ZygoteHandle::kill_group() {
  kill();
  ::kill(-process_.pid, SIGKILL);
}

Duration ZygoteHandle::ready_for(TimePoint now) const {
  return ready_since_ ? std::chrono::duration_cast<Duration>(now - *ready_since_) : Duration{};
}

}  // namespace stint::supervisor
