// Python.h comes first: it may define feature macros that the C library's headers ask for.
#define PY_SSIZE_T_CLEAN  // "y#" takes a Py_ssize_t
#include "tests/fuzz/h11_reader.h"
#include <Python.h>

#include <cstdio>
#include <cstdlib>

namespace stint::fuzz {
namespace {

[[noreturn]] void fail(const char* doing) {
  std::fprintf(stderr, "h11_reader: cannot %s (./dev fuzz puts h11 into %s)\n", doing, STINT_FUZZ_PYTHON);
  if (PyErr_Occurred() != nullptr) PyErr_Print();
  std::abort();
}

// The function read() of h11_reading.py, for the life of the process.
PyObject* reading_function() {
  PyConfig config;
  PyConfig_InitIsolatedConfig(&config);
  config.site_import = 0;  // nothing of this machine's packages
  const PyStatus status = Py_InitializeFromConfig(&config);
  PyConfig_Clear(&config);
  if (PyStatus_Exception(status)) fail("start Python");
  PyObject* const path = PySys_GetObject("path");  // borrowed
  for (const char* folder : {STINT_SOURCE_DIR "/tests/fuzz", STINT_FUZZ_PYTHON}) {
    PyObject* const text = PyUnicode_FromString(folder);
    if (path == nullptr || text == nullptr || PyList_Append(path, text) != 0) fail("extend sys.path");
    Py_DECREF(text);
  }
  PyObject* const module = PyImport_ImportModule("h11_reading");
  if (module == nullptr) fail("import h11_reading");
  PyObject* const function = PyObject_GetAttrString(module, "read");
  if (function == nullptr) fail("find read()");
  return function;
}

}  // namespace

std::string h11_reading(std::string_view bytes) {
  static PyObject* const read = reading_function();
  PyObject* const text = PyObject_CallFunction(read, "y#", bytes.data(), static_cast<Py_ssize_t>(bytes.size()));
  if (text == nullptr || !PyBytes_Check(text)) fail("read with h11");
  std::string copy(PyBytes_AS_STRING(text), static_cast<std::size_t>(PyBytes_GET_SIZE(text)));
  Py_DECREF(text);
  return copy;
}

}  // namespace stint::fuzz
