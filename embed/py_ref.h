// PyRef: the only owner of a Python reference in Stint. It is built by name, so that the reader sees which kind of
// reference CPython handed out. Copying is explicit too: PyRef::borrow(other.get()).
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <utility>

#ifdef Py_GIL_DISABLED
#error "Stint has not been tested with a free-threaded Python: its calls into the application rely on the GIL"
#endif

namespace stint::embed {

// REQUIRES: the thread holds the GIL whenever a PyRef that is not empty is made, changed or destroyed.
class PyRef {
 public:
  PyRef() = default;
  // The caller was given a new reference (or null), which is ours now.
  static PyRef steal(PyObject* object) { return PyRef(object); }
  // The caller was lent a reference (or null); we take one of our own.
  static PyRef borrow(PyObject* object) {
    Py_XINCREF(object);
    return PyRef(object);
  }
  PyRef(PyRef&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  PyRef& operator=(PyRef&& other) noexcept {
    // The old object goes last: its finalizer may run Python code, which must find this reference consistent.
    PyObject* old = std::exchange(object_, std::exchange(other.object_, nullptr));
    Py_XDECREF(old);
    return *this;
  }
  ~PyRef() { Py_XDECREF(object_); }

  explicit operator bool() const { return object_ != nullptr; }
  [[nodiscard]] PyObject* get() const { return object_; }
  [[nodiscard]] PyObject* release() { return std::exchange(object_, nullptr); }
  void reset() { *this = PyRef(); }

 private:
  explicit PyRef(PyObject* object) : object_(object) {}
  PyObject* object_ = nullptr;
};

}  // namespace stint::embed
