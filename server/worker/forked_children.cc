#include "server/worker/forked_children.h"

#include "stint/assert.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

namespace stint::worker {

namespace {

// A worker lets listeners and inbox go when it retires, and what the application opens then may get their numbers.
struct OwnDescriptor {
  int number;
  dev_t device;
  ino_t inode;
};

// pthread_atfork(3) hands its handlers nothing; written once, before the handler is set.
const control::ConnectionTableView* shared_table = nullptr;
std::vector<OwnDescriptor> own_descriptors;

bool is_still_there(const OwnDescriptor& own) {
  struct stat now{};
  return ::fstat(own.number, &now) == 0 && now.st_dev == own.device && now.st_ino == own.inode;
}

// In the child, before anything of the application: only system calls. The table is shared memory of the worker: read,
// not written.
void in_child() {
  if (shared_table == nullptr) return;
  for (const OwnDescriptor& own : own_descriptors)
    if (is_still_there(own)) ::close(own.number);
  for (std::size_t i = 0; i < shared_table->size(); ++i) {
    const control::ConnectionSlot& slot = shared_table->slot(i);
    if (slot.state.load(std::memory_order_acquire) != control::SlotState::free) ::close(slot.socket);
  }
}

}  // namespace

void close_in_forked_children(const control::ConnectionTableView& table, const std::vector<int>& descriptors) {
  STINT_ASSERT(shared_table == nullptr);
  shared_table = &table;
  own_descriptors.clear();
  for (const int descriptor : descriptors) {
    struct stat now{};
    const bool is_open = ::fstat(descriptor, &now) == 0;
    STINT_ASSERT(is_open);
    own_descriptors.push_back({descriptor, now.st_dev, now.st_ino});
  }
  static const int registered =
      ::pthread_atfork(nullptr, nullptr, in_child);  // once a process, and those forked from it
  static_cast<void>(registered);
}

void forget_forked_children() { shared_table = nullptr; }

}  // namespace stint::worker
