#include "embed/early_hints.h"

#include "embed/exchange_callable.h"
#include "embed/field_list.h"
#include "embed/py_error.h"

#include <string>

namespace stint::embed {
namespace {

PyTypeObject type = type_of_exchange_callable("stint.early_hints");

// early_hints([(name, value), …]) -> None
PyObject* hint(PyObject* self, PyObject* const* args, std::size_t nargsf, PyObject* keywords) {
  const Gil gil = gil_of_caller();
  if (PyVectorcall_NARGS(nargsf) != 1 || (keywords != nullptr && PyTuple_GET_SIZE(keywords) != 0)) {
    PyErr_SetString(PyExc_TypeError, "early_hints() takes one argument, a list of (name, value) tuples");
    return nullptr;
  }
  Exchange* exchange = usable_exchange(gil, self);
  if (exchange == nullptr) return nullptr;
  if (exchange->sink.has_sent_head()) {
    PyErr_SetString(PyExc_RuntimeError, "early_hints() called after the answer has begun");
    return nullptr;
  }
  if (!read_field_list(gil, "early_hints", args[0], exchange->fields)) return nullptr;
  if (auto sent = exchange->sink.send_early_hints(exchange->fields); !sent.has_value()) {
    PyErr_Format(PyExc_ValueError, "early_hints: %s", sent.error().text().c_str());
    return nullptr;
  }
  Py_RETURN_NONE;
}

PyObject* call(PyObject* self, PyObject* const* args, std::size_t nargsf, PyObject* keywords) noexcept {
  return or_memory_error([&] { return hint(self, args, nargsf, keywords); });
}

}  // namespace

bool ready_early_hints_type(const Gil&) { return PyType_Ready(&type) == 0; }

PyObject* EarlyHints::begin(const Gil&, Exchange& exchange) {
  if (callable_ && Py_REFCNT(callable_.get()) == 1) {
    as_exchange_callable(callable_.get())->exchange = &exchange;
  } else {
    callable_ = PyRef::steal(make_exchange_callable(type, call, &exchange));
  }
  return callable_.get();
}

void EarlyHints::end(const Gil&) {
  if (callable_) as_exchange_callable(callable_.get())->exchange = nullptr;
}

}  // namespace stint::embed
