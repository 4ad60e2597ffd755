#include "server/control/status_page.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <utility>

namespace stint::control {

// Starts as zeros, which mean: nothing yet, idle.
struct StatusPage::Layout {
  std::atomic<std::uint64_t> requests;
  std::atomic<std::uint64_t> failures;
  std::atomic<std::uint64_t> bad_requests;
  std::atomic<std::int64_t> busy_since;  // of steady_clock; 0: idle
  std::atomic<std::uint64_t> private_memory;
  std::atomic<std::uint32_t> connections;

  static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "a lock would not reach across processes");
};

namespace {

constexpr std::size_t page_size = 4096;
constexpr auto relaxed = std::memory_order_relaxed;

}  // namespace

Result<UniqueFd> make_status_page() {
  const std::string doing = "make a status page";
  UniqueFd file(::memfd_create("stint-status", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.is_open()) return system_error(doing);
  if (::ftruncate(file.get(), page_size) != 0) return system_error(doing);
  // A worker runs strangers' code: if that could shorten the file, reading the page would kill the supervisor (SIGBUS).
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return system_error(doing);
  return file;
}

Result<StatusPage> StatusPage::map(int fd) {
  static_assert(sizeof(Layout) <= page_size);
  void* page = ::mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED) return system_error("map a status page");
  return StatusPage(static_cast<Layout*>(page));
}

StatusPage::StatusPage(StatusPage&& other) noexcept : page_(std::exchange(other.page_, nullptr)) {}

StatusPage& StatusPage::operator=(StatusPage&& other) noexcept {
  std::swap(page_, other.page_);
  return *this;
}

StatusPage::~StatusPage() {
  if (page_ != nullptr) ::munmap(page_, page_size);
}

void StatusPage::count_request() { page_->requests.fetch_add(1, relaxed); }
void StatusPage::count_failure() { page_->failures.fetch_add(1, relaxed); }
void StatusPage::count_bad_request() { page_->bad_requests.fetch_add(1, relaxed); }
void StatusPage::set_connections(std::uint32_t open) { page_->connections.store(open, relaxed); }
void StatusPage::set_busy(TimePoint since) {
  // Zero means idle; a clock at zero is moved by a nanosecond.
  const std::int64_t count = since.time_since_epoch().count();
  page_->busy_since.store(count == 0 ? 1 : count, relaxed);
}
void StatusPage::set_idle() { page_->busy_since.store(0, relaxed); }
void StatusPage::set_private_memory(Bytes bytes) { page_->private_memory.store(bytes.count, relaxed); }

WorkerReport StatusPage::report() const {
  const std::int64_t busy_since = page_->busy_since.load(relaxed);
  return WorkerReport{
      .requests = page_->requests.load(relaxed),
      .failures = page_->failures.load(relaxed),
      .bad_requests = page_->bad_requests.load(relaxed),
      .connections = page_->connections.load(relaxed),
      .is_busy = busy_since != 0,
      .busy_since = TimePoint(TimePoint::duration(busy_since)),
      .private_memory = Bytes{page_->private_memory.load(relaxed)},
  };
}

}  // namespace stint::control
