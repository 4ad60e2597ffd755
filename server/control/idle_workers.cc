#include "server/control/idle_workers.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <utility>

namespace stint::control {

struct IdleWorkers::Place {
  std::atomic<pid_t> owner;
  std::atomic<std::uint32_t> is_idle;
  std::atomic<std::int64_t> here_until;  // of steady_clock; 0: gone
  std::atomic<std::uint64_t> load;       // connections, and above them how busy it was in parts of `whole`
  static_assert(std::atomic<pid_t>::is_always_lock_free && std::atomic<std::int64_t>::is_always_lock_free &&
                    std::atomic<std::uint64_t>::is_always_lock_free,
                "a lock would not reach across processes");
};

// Starts as zeros: nothing on its way, nobody's places.
struct IdleWorkers::Page {
  std::atomic<std::uint32_t> waiting;
  std::array<Place, 255> places;
};

namespace {

constexpr std::size_t page_size = 8192;
constexpr double whole = 1 << 16;
constexpr auto good_for = std::chrono::milliseconds(2500);
constexpr auto relaxed = std::memory_order_relaxed;

bool is_alive(pid_t pid) { return ::kill(pid, 0) == 0 || errno != ESRCH; }

}  // namespace

Result<UniqueFd> make_idle_workers() {
  const std::string doing = "make the page of idle workers";
  UniqueFd file(::memfd_create("stint-idle", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.is_open()) return system_error(doing);
  if (::ftruncate(file.get(), page_size) != 0) return system_error(doing);
  // A worker runs strangers' code: if that could shorten the file, reading the page would kill the others (SIGBUS).
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return system_error(doing);
  return file;
}

Result<IdleWorkers> IdleWorkers::map(int fd) {
  static_assert(sizeof(Page) <= page_size);
  void* page = ::mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED) return system_error("map the page of idle workers");
  IdleWorkers mapped(static_cast<Page*>(page));
  mapped.take_place();
  return mapped;
}

IdleWorkers::IdleWorkers(IdleWorkers&& other) noexcept
    : page_(std::exchange(other.page_, nullptr)), own_(std::exchange(other.own_, nullptr)) {}

IdleWorkers& IdleWorkers::operator=(IdleWorkers&& other) noexcept {
  std::swap(page_, other.page_);
  std::swap(own_, other.own_);
  return *this;
}

IdleWorkers::~IdleWorkers() {
  if (own_ != nullptr) {
    say_gone();
    own_->owner.store(0);
  }
  if (page_ != nullptr) ::munmap(page_, page_size);
}

// A free one, or that of a worker which did not live to give it back.
void IdleWorkers::take_place() {
  for (Place& place : page_->places) {
    pid_t owner = place.owner.load();
    if (owner != 0 && is_alive(owner)) continue;
    if (!place.owner.compare_exchange_strong(owner, ::getpid())) continue;
    own_ = &place;
    break;
  }
  say_gone();
}

void IdleWorkers::say_idle(TimePoint now) {
  says_idle_ = true;
  if (own_ == nullptr) return;
  own_->here_until.store((now + good_for).time_since_epoch().count(), relaxed);
  own_->is_idle.store(1, relaxed);
}

void IdleWorkers::say_busy(TimePoint now) {
  say_busy();
  if (own_ != nullptr) own_->here_until.store((now + good_for).time_since_epoch().count(), relaxed);
}

void IdleWorkers::say_busy() {
  says_idle_ = false;
  if (own_ != nullptr) own_->is_idle.store(0, relaxed);
}

void IdleWorkers::say_gone() {
  say_busy();
  if (own_ == nullptr) return;
  own_->here_until.store(0, relaxed);
  own_->load.store(0, relaxed);
}

bool IdleWorkers::is_other(const Place& place, TimePoint now) const {
  return &place != own_ && place.here_until.load(relaxed) > now.time_since_epoch().count();
}

bool IdleWorkers::has_idle_other(TimePoint now) const {
  const std::uint32_t on_its_way = page_->waiting.load(relaxed);
  std::uint32_t idle = 0;
  for (const Place& place : page_->places) {
    if (place.is_idle.load(relaxed) == 0 || !is_other(place, now)) continue;
    if (++idle > on_its_way) return true;
  }
  return false;
}

bool IdleWorkers::has_other(TimePoint now) const {
  return std::any_of(page_->places.begin(), page_->places.end(),
                     [&](const Place& place) { return is_other(place, now); });
}

void IdleWorkers::say_load(const WorkLoad& own) const {
  if (own_ != nullptr) own_->load.store(static_cast<std::uint64_t>(own.busy * whole) << 32 | own.connections, relaxed);
}

WorkLoad IdleWorkers::pool_load(TimePoint now) const {
  WorkLoad all;
  for (const Place& place : page_->places) {
    if (place.here_until.load(relaxed) <= now.time_since_epoch().count()) continue;
    const std::uint64_t load = place.load.load(relaxed);
    ++all.workers;
    all.busy += static_cast<double>(load >> 32) / whole;
    all.connections += static_cast<std::uint32_t>(load);
  }
  return all;
}

std::size_t IdleWorkers::waiting() const { return page_->waiting.load(relaxed); }

void IdleWorkers::sent() const { page_->waiting.fetch_add(1, relaxed); }

// What a retired worker has put in was not counted.
void IdleWorkers::took() const {
  std::uint32_t count = page_->waiting.load(relaxed);
  while (count > 0 && !page_->waiting.compare_exchange_weak(count, count - 1, relaxed)) {
  }
}

void IdleWorkers::nothing_sent() const { page_->waiting.store(0, relaxed); }

}  // namespace stint::control
