#include "server/worker/forked_children.h"

#include "stint/assert.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <deque>

namespace stint::worker {

namespace {

// By number and identity: a worker lets listeners, inbox and connections go, and what the application opens then may
// get their numbers.
struct OwnDescriptor {
  std::atomic<int> number{-1};  // -1: none. Written last, and first when it goes
  dev_t device = 0;
  ino_t inode = 0;
};

// pthread_atfork(3) hands its handlers nothing. In memory of this process alone, so that a child has it as it was at
// the fork; the table of connections, which is shared, shows what the worker has opened and closed since.
std::deque<OwnDescriptor> own_descriptors;  // those of the worker, then one for each connection
std::size_t before_connections = 0;
std::atomic<std::size_t> used{0};  // at the beginning, that were ever filled

bool is_still_there(const OwnDescriptor& own, int number) {
  struct stat now{};
  return ::fstat(number, &now) == 0 && now.st_dev == own.device && now.st_ino == own.inode;
}

void fill(std::size_t index, int number) {
  OwnDescriptor& own = own_descriptors[index];
  struct stat status{};
  if (::fstat(number, &status) != 0) return;  // it is no descriptor: a child has nothing to close
  own.device = status.st_dev;
  own.inode = status.st_ino;
  own.number.store(number, std::memory_order_release);
  if (index >= used.load(std::memory_order_relaxed)) used.store(index + 1, std::memory_order_release);
}

// In the child, before anything of the application: only system calls.
void in_child() {
  for (std::size_t i = 0; i < used.load(std::memory_order_acquire); ++i) {
    const OwnDescriptor& own = own_descriptors[i];
    const int number = own.number.load(std::memory_order_acquire);
    if (number >= 0 && is_still_there(own, number)) ::close(number);
  }
}

}  // namespace

void close_in_forked_children(const std::vector<int>& descriptors, std::size_t connections) {
  STINT_ASSERT(own_descriptors.empty());
  before_connections = descriptors.size();
  own_descriptors.resize(before_connections + connections);
  for (std::size_t i = 0; i < descriptors.size(); ++i) fill(i, descriptors[i]);
  static const int registered =
      ::pthread_atfork(nullptr, nullptr, in_child);  // once a process, and those forked from it
  static_cast<void>(registered);
}

void forget_forked_children() {
  used.store(0);
  own_descriptors.clear();
}

void connection_opened(std::size_t slot, int socket) {
  if (!own_descriptors.empty()) fill(before_connections + slot, socket);
}

void connection_closes(std::size_t slot) {
  if (!own_descriptors.empty()) own_descriptors[before_connections + slot].number.store(-1, std::memory_order_release);
}

}  // namespace stint::worker
