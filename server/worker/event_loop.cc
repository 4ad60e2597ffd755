#include "server/worker/event_loop.h"

#include "stint/assert.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

namespace stint::worker {

Result<std::unique_ptr<EventLoop>> EventLoop::make() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.is_open()) return system_error("epoll_create1");
  UniqueFd alarm(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!alarm.is_open()) return system_error("eventfd");
  std::unique_ptr<EventLoop> loop(new EventLoop(std::move(epoll), std::move(alarm)));
  if (const Result<void> watched = loop->watch(loop->alarm_.fd.get(), EPOLLIN, loop->alarm_); !watched.has_value())
    return watched.error();
  return loop;
}

static std::uint64_t key_of(int fd, std::uint32_t serial) {
  return static_cast<std::uint64_t>(serial) << 32 | static_cast<std::uint32_t>(fd);
}

Result<void> EventLoop::watch(int fd, std::uint32_t events, Watcher& watcher) {
  if (static_cast<std::size_t>(fd) >= registrations_.size()) registrations_.resize(static_cast<std::size_t>(fd) + 64);
  Registration& registration = registrations_[static_cast<std::size_t>(fd)];
  STINT_ASSERT(registration.watcher == nullptr);
  const std::uint32_t serial = ++serials_;
  epoll_event event{};
  event.events = events;
  event.data.u64 = key_of(fd, serial);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) return system_error("epoll_ctl add");
  registration = {&watcher, serial, events};
  return {};
}

void EventLoop::rewatch(int fd, std::uint32_t events) {
  STINT_ASSERT(fd >= 0);
  Registration& registration = registrations_[static_cast<std::size_t>(fd)];
  STINT_ASSERT(registration.watcher != nullptr);
  if (registration.events == events) return;
  epoll_event event{};
  event.events = events;
  event.data.u64 = key_of(fd, registration.serial);
  STINT_ASSERT(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0);
  registration.events = events;
}

void EventLoop::unwatch(int fd) {
  STINT_ASSERT(fd >= 0);
  Registration& registration = registrations_[static_cast<std::size_t>(fd)];
  STINT_ASSERT(registration.watcher != nullptr);
  registration = {};
  // Needed although the caller closes the descriptor soon: a copy of it in another process would keep the registration
  // alive.
  STINT_ASSERT(::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr) == 0);
}

TimePoint EventLoop::next_due() const {
  TimePoint next = TimePoint::max();
  for (const DeadlineList* list : deadlines_) next = std::min(next, list->next_due());
  return next;
}

int EventLoop::milliseconds_until(TimePoint next) const {
  if (next == TimePoint::max()) return -1;
  if (next <= now_) return 0;
  // One more than the difference rounded down: waking before the deadline would only mean waking twice.
  const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(next - now_).count() + 1;
  return static_cast<int>(std::min<long long>(wait, std::numeric_limits<int>::max()));
}

void EventLoop::prepare_to_wait(bool may_wait) {
  waits_until_ = may_wait ? next_due() : TimePoint::min();
  wait_began_ = may_wait ? std::chrono::steady_clock::now() : TimePoint::max();
  wait_milliseconds_ = may_wait ? milliseconds_until(waits_until_) : 0;
}

void EventLoop::wait() {
  const int count = ::epoll_wait(epoll_.get(), batch_.data(), static_cast<int>(batch_.size()), wait_milliseconds_);
  STINT_ASSERT(count >= 0 || errno == EINTR);
  batch_next_ = 0;
  batch_size_ = count > 0 ? static_cast<std::size_t>(count) : 0;
}

void EventLoop::end_of_wait() {
  waits_until_ = TimePoint::min();
  look_at_clock();
  last_wait_ = wait_began_ < now_ ? now_ - wait_began_ : std::chrono::nanoseconds(0);
}

void EventLoop::run_deadlines() {
  for (DeadlineList* list : deadlines_) list->expire(now_);
}

void EventLoop::wake_for_deadlines() {
  const TimePoint due = next_due();
  if (due >= waits_until_) return;
  waits_until_ = due;
  wake();
}

void EventLoop::wake() {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(alarm_.fd.get(), &one, sizeof one));  // fails only when it is readable anyway
}

void EventLoop::Alarm::on_ready(std::uint32_t) {
  std::uint64_t count = 0;
  static_cast<void>(!::read(fd.get(), &count, sizeof count));  // resets it
}

void EventLoop::step() {
  if (!has_events()) {
    prepare_to_wait(true);
    wait();
    end_of_wait();
    run_deadlines();
  }
  if (has_events()) run_one();
}

void EventLoop::run_one() {
  const epoll_event event = batch_[batch_next_++];
  const auto fd = static_cast<std::size_t>(event.data.u64 & 0xffffffffU);
  const auto serial = static_cast<std::uint32_t>(event.data.u64 >> 32);
  const Registration& registration = registrations_[fd];
  if (registration.watcher == nullptr || registration.serial != serial) return;  // unwatched since it was fetched
  registration.watcher->on_ready(event.events);
}

}  // namespace stint::worker
