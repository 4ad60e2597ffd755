#include "server/control/connection_table.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>

namespace stint::control {

namespace {

// The header has the place of a slot, so that each slot is a page of its own.
static_assert(sizeof(ConnectionTableHeader) <= slot_size);
static_assert(std::atomic<SlotState>::is_always_lock_free && std::atomic<Verdict>::is_always_lock_free &&
                  std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<pid_t>::is_always_lock_free,
              "a lock would not reach across processes");

constexpr std::uint32_t current_version = ConnectionTableHeader{}.version;

bool is_token_character(char c) {  // of RFC 9110 §5.6.2
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

}  // namespace

RequestLine request_line_of(std::string_view head) {
  head.remove_prefix(std::min(head.find_first_not_of("\r\n"), head.size()));  // RFC 9112 §2.2 lets them stand there
  const std::size_t space = head.find(' ');
  if (space == 0 || space == std::string_view::npos) return {};
  const std::string_view method = head.substr(0, space);
  if (!std::all_of(method.begin(), method.end(), is_token_character)) return {};
  const std::string_view rest = head.substr(space + 1);
  return {method, rest.substr(0, rest.find_first_of(" \r\n"))};
}

Result<UniqueFd> make_connection_table(std::uint32_t slots) {
  const std::string doing = "make a table of connections";
  UniqueFd file(::memfd_create("stint-connections", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.is_open()) return system_error(doing);
  if (::ftruncate(file.get(), static_cast<off_t>((slots + std::size_t{1}) * slot_size)) != 0)
    return system_error(doing);
  // A worker runs strangers' code: if that could shorten the file, reading it would kill the supervisor (SIGBUS).
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return system_error(doing);
  void* memory = ::mmap(nullptr, slot_size, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) return system_error(doing);
  new (memory) ConnectionTableHeader{.slots = slots};
  ::munmap(memory, slot_size);
  return file;
}

Result<ConnectionTableView> ConnectionTableView::map(int fd) {
  const std::string doing = "map a table of connections";
  struct stat status{};
  if (::fstat(fd, &status) != 0) return system_error(doing);
  const auto bytes = static_cast<std::size_t>(status.st_size);
  if (bytes < slot_size || bytes % slot_size != 0) return error_because(doing + ": this file is none");
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return system_error(doing);
  auto* header = static_cast<ConnectionTableHeader*>(memory);
  auto* slots = reinterpret_cast<ConnectionSlot*>(static_cast<std::byte*>(memory) + slot_size);
  ConnectionTableView view(header, slots, bytes);
  if (header->version != current_version || header->slots != view.size())
    return error_because(doing + ": it is of another version");
  return view;
}

ConnectionTableView::ConnectionTableView(ConnectionTableView&& other) noexcept
    : header_(std::exchange(other.header_, nullptr)), slots_(other.slots_), bytes_(other.bytes_) {}

ConnectionTableView& ConnectionTableView::operator=(ConnectionTableView&& other) noexcept {
  std::swap(header_, other.header_);
  std::swap(slots_, other.slots_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

ConnectionTableView::~ConnectionTableView() {
  if (header_ != nullptr) ::munmap(header_, bytes_);
}

std::size_t ConnectionTableView::used() const {
  std::size_t count = 0;
  while (count < size() && std::atomic_ref(slots_[count].socket).load(std::memory_order_relaxed) != 0) ++count;
  return count;
}

}  // namespace stint::control
