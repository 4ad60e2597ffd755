// wsgi.file_wrapper (PEP 3333, "Optional Platform-Specific File Handling"): an iterable over a file. When the very
// object comes back from the application and stands for a plain file, the kernel sends the file itself.
#pragma once

#include "embed/exchange.h"

namespace stint::embed {

// Once a process, before any other function here. False: a Python error is set.
bool ready_file_wrapper_type(const Gil& gil);

// The type itself: environ["wsgi.file_wrapper"](file, block_size=8192).
PyObject* file_wrapper_type();
inline bool is_file_wrapper(PyObject* object) {
  return reinterpret_cast<PyObject*>(Py_TYPE(object)) == file_wrapper_type();
}

// Gives the rest of the file, from its current position, to the sink as a file. False, with no Python error set and
// nothing sent: it is no plain file, iterate over it. REQUIRES: is_file_wrapper(object), the sink has a head.
bool send_as_file(const Gil& gil, Exchange& exchange, PyObject* object);

}  // namespace stint::embed
