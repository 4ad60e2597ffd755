#include "server/worker/running_calls.h"

#include "stint/assert.h"

#include <algorithm>
#include <optional>

namespace stint::worker {

namespace {

bool counts(const RunningCall& call) { return !call.is_timed_out && !call.is_client_awaited; }

// Since when nothing has come from that one of them that has been silent longest.
std::optional<TimePoint> oldest_progress(const std::vector<RunningCall>& calls) {
  std::optional<TimePoint> oldest;
  for (const RunningCall& call : calls) {
    if (counts(call) && (!oldest || call.progress < *oldest)) oldest = call.progress;
  }
  return oldest;
}

}  // namespace

RunningCalls::RunningCalls(EventLoop& loop, control::StatusPage& page, std::chrono::milliseconds limit)
    : loop_(loop), page_(page), limit_(limit) {
  loop_.add(limit_);
}

void RunningCalls::begin(std::uint64_t number, Connection& connection, pid_t thread, TimePoint now) {
  calls_.push_back({.number = number, .connection = &connection, .thread = thread, .began = now, .progress = now});
  tell();
  watch(now);
}

void RunningCalls::end(std::uint64_t number) {
  calls_.erase(calls_.begin() + (&find(number) - calls_.data()));
  tell();
}

void RunningCalls::await_client(std::uint64_t number) {
  find(number).is_client_awaited = true;
  tell();
}

void RunningCalls::progress(std::uint64_t number, TimePoint now) {
  RunningCall& call = find(number);
  call.is_client_awaited = false;
  call.progress = now;
  tell();
  watch(now);
}

const RunningCall* RunningCalls::of_thread(pid_t thread) const {
  const auto found =
      std::find_if(calls_.begin(), calls_.end(), [&](const RunningCall& call) { return call.thread == thread; });
  return found == calls_.end() ? nullptr : &*found;
}

std::size_t RunningCalls::timed_out() const {
  return static_cast<std::size_t>(
      std::count_if(calls_.begin(), calls_.end(), [](const RunningCall& call) { return call.is_timed_out; }));
}

RunningCall& RunningCalls::find(std::uint64_t number) {
  const auto found =
      std::find_if(calls_.begin(), calls_.end(), [&](const RunningCall& call) { return call.number == number; });
  STINT_ASSERT(found != calls_.end());
  return *found;
}

void RunningCalls::watch(TimePoint since) {
  if (is_watching_ || limit_.length().count() == 0) return;
  is_watching_ = true;
  limit_.arm(*this, since);
}

void RunningCalls::on_deadline() {
  is_watching_ = false;
  const TimePoint now = loop_.now();
  for (RunningCall& call : calls_) {
    if (!counts(call) || now - call.progress < limit_.length()) continue;
    call.is_timed_out = true;
    on_overdue(call);
  }
  tell();
  if (const std::optional<TimePoint> oldest = oldest_progress(calls_)) watch(*oldest);
}

void RunningCalls::tell() const { page_.set_calls(static_cast<std::uint32_t>(calls_.size()), oldest_progress(calls_)); }

}  // namespace stint::worker
