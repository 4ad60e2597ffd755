#include "embed/forking.h"

#include "embed/py_text.h"

namespace stint::embed {
namespace {

// Of a module that the application has imported; empty otherwise, and no Python error.
PyRef attribute_of_loaded(const Gil& gil, const char* module_name, const char* attribute) {
  PyRef name = interned(gil, module_name);
  PyRef module = name ? PyRef::steal(PyImport_GetModule(name.get())) : PyRef();
  PyRef found = module ? PyRef::steal(PyObject_GetAttrString(module.get(), attribute)) : PyRef();
  if (!found) PyErr_Clear();
  return found;
}

// What raises is ignored: a connection that stays open is found, and named, by whoever asks what may be forked.
void call(const Gil&, PyObject* object, const char* method) {
  PyRef done = PyRef::steal(PyObject_CallMethod(object, method, nullptr));
  if (!done) PyErr_Clear();
}

}  // namespace

void settle_for_forks(const Gil& gil) {
  if (PyRef connections = attribute_of_loaded(gil, "django.db", "connections")) {
    call(gil, connections.get(), "close_all");
  }
  PyRef collector = PyRef::steal(PyImport_ImportModule("gc"));
  if (!collector) return PyErr_Clear();
  call(gil, collector.get(), "collect");
  call(gil, collector.get(), "freeze");
}

std::vector<NamedThread> named_threads(const Gil& gil) {
  std::vector<NamedThread> threads;
  PyRef module = PyRef::steal(PyImport_ImportModule("threading"));
  PyRef all = module ? PyRef::steal(PyObject_CallMethod(module.get(), "enumerate", nullptr)) : PyRef();
  PyRef next = all ? PyRef::steal(PyObject_GetIter(all.get())) : PyRef();
  while (next) {
    PyRef thread = PyRef::steal(PyIter_Next(next.get()));
    if (!thread) break;
    PyRef id = PyRef::steal(PyObject_GetAttrString(thread.get(), "native_id"));
    PyRef name = PyRef::steal(PyObject_GetAttrString(thread.get(), "name"));
    const long number = id ? PyLong_AsLong(id.get()) : -1;  // None while a thread is about to start
    PyErr_Clear();
    if (number > 0 && name) threads.push_back({static_cast<pid_t>(number), utf8(gil, name.get())});
  }
  PyErr_Clear();
  return threads;
}

pid_t fork_with_hooks(const Gil&, const std::function<pid_t()>& fork) {
  PyOS_BeforeFork();
  const pid_t pid = fork();
  if (pid == 0) {
    PyOS_AfterFork_Child();
  } else {
    PyOS_AfterFork_Parent();
  }
  return pid;
}

}  // namespace stint::embed
