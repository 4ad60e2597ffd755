#include "embed/py_error.h"

#include "embed/py_text.h"

#include <cstdio>
#include <utility>

namespace stint::embed {
namespace {

// What an application raises may be of any size; these are for a log.
constexpr std::size_t longest_summary = 4 * 1024;
constexpr std::size_t longest_traceback = 64 * 1024;

struct Raised {
  PyRef type;
  PyRef value;
  PyRef traceback;  // None when there is none
};

Raised take_raised(const Gil&) {
#if PY_VERSION_HEX >= 0x030c0000
  PyRef value = PyRef::steal(PyErr_GetRaisedException());
  PyRef type = PyRef::borrow(reinterpret_cast<PyObject*>(Py_TYPE(value.get())));
  PyRef traceback = PyRef::steal(PyException_GetTraceback(value.get()));
#else
  PyObject *t = nullptr, *v = nullptr, *tb = nullptr;
  PyErr_Fetch(&t, &v, &tb);
  PyErr_NormalizeException(&t, &v, &tb);
  if (tb != nullptr) PyException_SetTraceback(v, tb);
  PyRef type = PyRef::steal(t);
  PyRef value = PyRef::steal(v);
  PyRef traceback = PyRef::steal(tb);
#endif
  if (!traceback) traceback = PyRef::borrow(Py_None);
  return {std::move(type), std::move(value), std::move(traceback)};
}

void restore(const Gil&, Raised raised) {
#if PY_VERSION_HEX >= 0x030c0000
  PyErr_SetRaisedException(raised.value.release());
#else
  PyErr_Restore(raised.type.release(), raised.value.release(),
                raised.traceback.get() == Py_None ? nullptr : raised.traceback.release());
#endif
}

// "module.Name" as Python's own traceback names it.
std::string name_of(const Gil& gil, PyObject* type) {
  std::string name = reinterpret_cast<PyTypeObject*>(type)->tp_name;
  PyRef qualname = PyRef::steal(PyObject_GetAttrString(type, "__qualname__"));
  PyRef module = PyRef::steal(PyObject_GetAttrString(type, "__module__"));
  PyErr_Clear();
  if (qualname && PyUnicode_Check(qualname.get())) name = utf8(gil, qualname.get());
  if (module && PyUnicode_Check(module.get())) {
    std::string prefix = utf8(gil, module.get());
    if (prefix != "builtins" && prefix != "__main__") name = prefix + "." + name;
  }
  return name;
}

std::string summary_of(const Gil& gil, const Raised& raised) {
  std::string summary = name_of(gil, raised.type.get());
  PyRef text = PyRef::steal(PyObject_Str(raised.value.get()));
  if (!text) {
    PyErr_Clear();
    return summary + ": <its str() raised>";
  }
  PyRef start = PyRef::steal(PyUnicode_Substring(text.get(), 0, longest_summary));
  if (!start) PyErr_Clear();
  std::string message = start ? utf8(gil, start.get()) : std::string();
  if (auto end = message.find_first_of("\r\n"); end != std::string::npos) message.resize(end);
  if (!message.empty()) summary += ": " + message;
  return std::string(beginning(summary, longest_summary));
}

// Empty when formatting fails (no memory left, a broken __str__ deep inside): the summary has to do then.
std::string traceback_of(const Gil& gil, const Raised& raised) {
  PyRef module = PyRef::steal(PyImport_ImportModule("traceback"));
  PyRef lines;
  if (module) {
    lines = PyRef::steal(PyObject_CallMethod(module.get(), "format_exception", "OOO", raised.type.get(),
                                             raised.value.get(), raised.traceback.get()));
  }
  PyRef nothing = PyRef::steal(PyUnicode_FromString(""));
  PyRef text;
  if (lines && nothing) text = PyRef::steal(PyUnicode_Join(nothing.get(), lines.get()));
  if (!text) {
    PyErr_Clear();
    return {};
  }
  return shortened(gil, text.get(), longest_traceback);
}

}  // namespace

PythonError take_python_error(const Gil& gil) {
  Raised raised = take_raised(gil);
  return {summary_of(gil, raised), traceback_of(gil, raised)};
}

int os_error_number(const Gil& gil) {
  if (PyErr_ExceptionMatches(PyExc_OSError) == 0) return 0;
  Raised raised = take_raised(gil);
  PyRef number = PyRef::steal(PyObject_GetAttrString(raised.value.get(), "errno"));
  const long error = number && PyLong_Check(number.get()) ? PyLong_AsLong(number.get()) : 0;
  PyErr_Clear();
  restore(gil, std::move(raised));
  return static_cast<int>(error);
}

int take_exit_status(const Gil& gil) {
  if (PyErr_ExceptionMatches(PyExc_SystemExit) == 0) {
    PythonError error = take_python_error(gil);
    std::fputs(error.traceback.empty() ? error.summary.c_str() : error.traceback.c_str(), stderr);
    std::fflush(stderr);
    return 1;
  }
  Raised raised = take_raised(gil);
  PyRef code = PyRef::steal(PyObject_GetAttrString(raised.value.get(), "code"));
  if (!code || code.get() == Py_None) {
    PyErr_Clear();
    return 0;
  }
  if (!PyLong_Check(code.get())) {  // a message
    PyRef out = PyRef::borrow(PySys_GetObject("stderr"));
    const bool is_there = out && out.get() != Py_None;
    if (is_there &&
        (PyFile_WriteObject(code.get(), out.get(), Py_PRINT_RAW) != 0 || PyFile_WriteString("\n", out.get()) != 0)) {
      PyErr_Clear();
    }
    return 1;
  }
  int overflow = 0;
  return static_cast<int>(PyLong_AsLongAndOverflow(code.get(), &overflow) & 0xff);
}

}  // namespace stint::embed
