#include "server/control/status_page.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace stint::control {

// Starts as zeros but for the version: nothing yet, idle.
struct StatusPage::Layout {
  std::uint32_t version;
  std::atomic<std::uint64_t> requests;
  std::atomic<std::uint64_t> server_errors;
  std::atomic<std::uint64_t> failures;
  std::atomic<std::uint64_t> clients_gone;
  std::atomic<std::uint64_t> idle_timeouts;
  std::atomic<std::uint64_t> write_timeouts;
  std::atomic<std::uint64_t> request_timeouts;
  std::atomic<std::uint64_t> times_full;
  std::atomic<std::uint64_t> dropped_fields;
  std::atomic<std::int64_t> busy_since;  // of steady_clock; 0: nobody
  std::atomic<std::uint64_t> private_memory;
  std::atomic<std::uint32_t> connections;
  std::atomic<std::uint32_t> calls;
  std::atomic<bool> is_full;
  std::array<std::atomic<std::uint64_t>, refusal_reasons> refused;

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
  if (::ftruncate(file.get(), page_size) != 0 ||
      ::pwrite(file.get(), &status_page_version, sizeof status_page_version, 0) != sizeof status_page_version)
    return system_error(doing);
  // A worker runs strangers' code: if that could shorten the file, reading the page would kill the supervisor (SIGBUS).
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return system_error(doing);
  return file;
}

Result<StatusPage> StatusPage::map(int fd) {
  static_assert(sizeof(Layout) <= page_size);
  void* page = ::mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED) return system_error("map a status page");
  StatusPage mapped(static_cast<Layout*>(page));
  if (mapped.page_->version != status_page_version) return error_because("map a status page: it is of another version");
  return mapped;
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
void StatusPage::count_server_error() { page_->server_errors.fetch_add(1, relaxed); }
void StatusPage::count_failure() { page_->failures.fetch_add(1, relaxed); }
void StatusPage::count_refusal(RefusalReason reason) {
  page_->refused[static_cast<std::size_t>(reason)].fetch_add(1, relaxed);
}
void StatusPage::count_client_gone() { page_->clients_gone.fetch_add(1, relaxed); }
void StatusPage::count_idle_timeout() { page_->idle_timeouts.fetch_add(1, relaxed); }
void StatusPage::count_write_timeout() { page_->write_timeouts.fetch_add(1, relaxed); }
void StatusPage::count_request_timeout() { page_->request_timeouts.fetch_add(1, relaxed); }
void StatusPage::count_dropped_fields(unsigned fields) { page_->dropped_fields.fetch_add(fields, relaxed); }
void StatusPage::set_connections(std::uint32_t open) { page_->connections.store(open, relaxed); }
void StatusPage::set_full(bool is_full) {
  if (is_full && !page_->is_full.load(relaxed)) page_->times_full.fetch_add(1, relaxed);
  page_->is_full.store(is_full, relaxed);
}
void StatusPage::set_calls(std::uint32_t calls, std::optional<TimePoint> since) {
  // Zero means none; a clock at zero is moved by a nanosecond.
  const std::int64_t count = since ? since->time_since_epoch().count() : 0;
  page_->busy_since.store(since && count == 0 ? 1 : count, relaxed);
  page_->calls.store(calls, relaxed);
}
void StatusPage::set_private_memory(Bytes bytes) { page_->private_memory.store(bytes.count, relaxed); }

WorkerReport StatusPage::report() const {
  const std::int64_t busy_since = page_->busy_since.load(relaxed);
  WorkerReport report{
      .counts = {.requests = page_->requests.load(relaxed),
                 .server_errors = page_->server_errors.load(relaxed),
                 .failures = page_->failures.load(relaxed),
                 .clients_gone = page_->clients_gone.load(relaxed),
                 .idle_timeouts = page_->idle_timeouts.load(relaxed),
                 .write_timeouts = page_->write_timeouts.load(relaxed),
                 .request_timeouts = page_->request_timeouts.load(relaxed),
                 .times_full = page_->times_full.load(relaxed),
                 .dropped_fields = page_->dropped_fields.load(relaxed)},
      .connections = page_->connections.load(relaxed),
      .is_full = page_->is_full.load(relaxed),
      .calls = page_->calls.load(relaxed),
      .is_busy = busy_since != 0,
      .busy_since = TimePoint(TimePoint::duration(busy_since)),
      .private_memory = Bytes{page_->private_memory.load(relaxed)},
  };
  for (std::size_t i = 0; i < refusal_reasons; ++i) report.counts.refused[i] = page_->refused[i].load(relaxed);
  return report;
}

}  // namespace stint::control
