// A Python exception as a value: none crosses into server/.
#pragma once

#include "embed/gil.h"

#include "stint/application.h"

#include <new>
#include <string>

namespace stint::embed {

struct PythonError {
  std::string summary;    // one line: "ZeroDivisionError: division by zero"; 4 KiB at most
  std::string traceback;  // as Python prints it; of one of more than 64 KiB the middle is left out

  [[nodiscard]] ApplicationFailure as_failure() && { return {std::move(summary), std::move(traceback)}; }
};

// The body of a function that CPython calls: no exception of C++ crosses into it, and memory that is short is Python's
// MemoryError, as anywhere else.
template <class Body>
PyObject* or_memory_error(const Body& body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  }
}

// Takes the exception that is set and clears it. REQUIRES: one is set.
PythonError take_python_error(const Gil& gil);

// The errno of the OSError that is set, which stays; 0 when it is another exception, or has none. REQUIRES: one is set.
int os_error_number(const Gil& gil);

// What exit status SystemExit asks for; takes the exception. As Python does: what is no number is printed to stderr,
// status 1; so are other exceptions.
// REQUIRES: one is set.
int take_exit_status(const Gil& gil);

}  // namespace stint::embed
