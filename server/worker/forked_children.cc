#include "server/worker/forked_children.h"

#include "stint/assert.h"

#include <pthread.h>
#include <unistd.h>

namespace stint::worker {

namespace {

// pthread_atfork(3) hands its handlers nothing; written once, before the handler is set.
const control::ConnectionTableView* shared_table = nullptr;
std::vector<int> own_descriptors;

// In the child, before anything of the application: only system calls. The table is shared memory of the worker: read,
// not written.
void in_child() {
  if (shared_table == nullptr) return;
  for (const int descriptor : own_descriptors) ::close(descriptor);
  for (std::size_t i = 0; i < shared_table->size(); ++i) {
    const control::ConnectionSlot& slot = shared_table->slot(i);
    if (slot.state.load(std::memory_order_acquire) != control::SlotState::free) ::close(slot.socket);
  }
}

}  // namespace

void close_in_forked_children(const control::ConnectionTableView& table, std::vector<int> descriptors) {
  STINT_ASSERT(shared_table == nullptr);
  shared_table = &table;
  own_descriptors = std::move(descriptors);
  static const int registered =
      ::pthread_atfork(nullptr, nullptr, in_child);  // once a process, and those forked from it
  static_cast<void>(registered);
}

void forget_forked_children() { shared_table = nullptr; }

}  // namespace stint::worker
