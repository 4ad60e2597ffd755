#include "embed/fork_check.h"

#include "embed/py_error.h"

#include <pthread.h>
#include <unistd.h>

#include <new>

namespace stint::embed {
namespace {

// Written only by the handler, in a child that has a single thread. subprocess's vfork runs no handlers: good, as its
// child shares our memory until it execs.
unsigned forks = 0;

}  // namespace

void watch_forks() {
  pthread_atfork(nullptr, nullptr, [] { ++forks; });
}

unsigned forks_so_far() { return forks; }

void flush_python_stdio(const Gil&) {
  for (const char* name : {"stdout", "stderr"}) {
    PyObject* stream = PySys_GetObject(name);  // borrowed; None when the descriptor was closed
    if (stream == nullptr || stream == Py_None) continue;
    PyRef keep = PyRef::borrow(stream);
    PyRef done = PyRef::steal(PyObject_CallMethod(stream, "flush", nullptr));
    if (!done) PyErr_Clear();
  }
}

// Whatever happens: a child that went on would write into the worker's memory and to its clients.
void leave_forked_child(const Gil& gil) noexcept {
  int status = 1;
  try {
    status = PyErr_Occurred() != nullptr ? take_exit_status(gil) : 0;
    flush_python_stdio(gil);
  } catch (const std::bad_alloc&) {
  }
  _exit(status);
}

}  // namespace stint::embed
