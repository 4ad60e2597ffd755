#include "embed/released_objects.h"

#include <atomic>
#include <mutex>
#include <new>
#include <vector>

namespace stint::embed {
namespace {

// One for the process, as the interpreter is: BodyChunk::release gets nothing but the owner.
std::mutex mutex;
std::vector<PyObject*> released;        // guarded by mutex
std::atomic<bool> is_any_there{false};  // so that the usual call needs no lock

void retain(void* owner) { Py_INCREF(static_cast<PyObject*>(owner)); }

void release(void* owner) noexcept {
  std::lock_guard lock(mutex);
  try {
    released.push_back(static_cast<PyObject*>(owner));
    is_any_there.store(true, std::memory_order_release);
  } catch (const std::bad_alloc&) {  // this one stays for good
  }
}

}  // namespace

BodyChunk chunk_of(const Gil&, PyObject* bytes) {
  return {{PyBytes_AS_STRING(bytes), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes))}, bytes, retain, release};
}

bool has_released() { return is_any_there.load(std::memory_order_acquire); }

void drop_released(const Gil&) {
  if (!has_released()) return;
  std::vector<PyObject*> objects;
  {
    std::lock_guard lock(mutex);
    objects.swap(released);
    is_any_there.store(false, std::memory_order_relaxed);
  }
  for (PyObject* object : objects) Py_DECREF(object);  // outside the lock: a subclass of bytes may run Python code
}

}  // namespace stint::embed
