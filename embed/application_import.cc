#include "embed/application_import.h"

#include "embed/fork_check.h"
#include "embed/py_error.h"
#include "embed/py_text.h"

#include <string_view>

namespace stint::embed {
namespace {

void fill(LoadFailure& failure, PythonError error) {
  failure.summary = std::move(error.summary);
  failure.traceback = std::move(error.traceback);
}

std::string in_quotes(std::string_view text) { return std::string(1, '\'').append(text).append(1, '\''); }

PyRef attribute(const Gil&, PyObject* object, const std::string& name) {
  return PyRef::steal(PyObject_GetAttrString(object, name.c_str()));
}

// The name that was probably meant: one close to `wanted`, else one that applications usually have. Empty: no idea.
// Leaves no Python error.
std::string suggestion(const Gil& gil, PyObject* object, const std::string& wanted) {
  PyRef difflib = PyRef::steal(PyImport_ImportModule("difflib"));
  PyRef names = PyRef::steal(PyObject_Dir(object));
  PyRef close;
  if (difflib && names) {
    close =
        PyRef::steal(PyObject_CallMethod(difflib.get(), "get_close_matches", "sOi", wanted.c_str(), names.get(), 1));
  }
  std::string found;
  if (close && PyList_Check(close.get()) && PyList_GET_SIZE(close.get()) == 1) {
    found = utf8(gil, PyList_GET_ITEM(close.get(), 0));
  }
  PyErr_Clear();
  for (const char* usual : {"application", "app", "wsgi_app"}) {
    if (!found.empty()) break;
    PyRef value = attribute(gil, object, usual);
    if (value && PyCallable_Check(value.get()) != 0) found = usual;
    PyErr_Clear();
  }
  return found;
}

// One step of "attribute.attribute". Empty: `failure` is filled.
PyRef look_up(const Gil& gil, PyObject* object, const std::string& owner, const std::string& name,
              LoadFailure& failure) {
  const unsigned forks_before = forks_so_far();
  PyRef found = attribute(gil, object, name);
  leave_if_forked(gil, forks_before);
  if (found) return found;
  if (PyErr_ExceptionMatches(PyExc_AttributeError) == 0) {  // a module's __getattr__ raised something of its own
    fill(failure, take_python_error(gil));
    return {};
  }
  PyErr_Clear();
  failure.summary = in_quotes(owner) + " has no attribute " + in_quotes(name);
  std::string meant = suggestion(gil, object, name);
  if (!meant.empty()) failure.summary += "; did you mean " + in_quotes(meant) + "?";
  return {};
}

}  // namespace

PyRef import_application(const Gil& gil, const std::string& module_and_callable, LoadFailure& failure) {
  const std::size_t colon = module_and_callable.find(':');
  std::string owner = module_and_callable.substr(0, colon);
  std::string path = colon == std::string::npos ? "application" : module_and_callable.substr(colon + 1);

  // From C as from an import statement, CPython itself leaves the frames of importlib out of the traceback.
  const unsigned forks_before = forks_so_far();
  PyRef object = PyRef::steal(PyImport_ImportModule(owner.c_str()));
  leave_if_forked(gil, forks_before);
  if (!object) {
    fill(failure, take_python_error(gil));
    return {};
  }
  // "package.module" imports both and PyImport_ImportModule returns the last; the callable is an attribute of that.
  while (true) {
    const std::size_t dot = path.find('.');
    std::string name = path.substr(0, dot);
    object = look_up(gil, object.get(), owner, name, failure);
    if (!object) return {};
    owner += "." + name;
    if (dot == std::string::npos) break;
    path.erase(0, dot + 1);
  }
  if (PyCallable_Check(object.get()) != 0) return object;
  failure.summary = in_quotes(module_and_callable) + " is of type " + in_quotes(Py_TYPE(object.get())->tp_name) +
                    ", which cannot be called";
  return {};
}

}  // namespace stint::embed
