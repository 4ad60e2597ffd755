#include "embed/exchange_callable.h"

#include <cstddef>

namespace stint::embed {
namespace {

void dealloc(PyObject* self) {
  Py_XDECREF(as_exchange_callable(self)->partner);
  Py_TYPE(self)->tp_free(self);
}

PyObject* repr(PyObject* self) { return PyUnicode_FromFormat("<%s>", Py_TYPE(self)->tp_name); }

}  // namespace

PyTypeObject type_of_exchange_callable(const char* name) {
  PyTypeObject type = {PyVarObject_HEAD_INIT(nullptr, 0)};
  type.tp_name = name;
  type.tp_basicsize = sizeof(ExchangeCallable);
  type.tp_dealloc = dealloc;
  type.tp_repr = repr;
  type.tp_call = PyVectorcall_Call;
  type.tp_vectorcall_offset = offsetof(ExchangeCallable, vectorcall);
  type.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL;
  return type;
}

PyObject* make_exchange_callable(PyTypeObject& type, vectorcallfunc function, Exchange* exchange) {
  ExchangeCallable* made = PyObject_New(ExchangeCallable, &type);
  if (made == nullptr) return nullptr;
  made->vectorcall = function;
  made->exchange = exchange;
  made->partner = nullptr;
  return reinterpret_cast<PyObject*>(made);
}

Exchange* usable_exchange(const Gil& gil, PyObject* callable) {
  Exchange* exchange = as_exchange_callable(callable)->exchange;
  if (exchange == nullptr) {
    PyErr_Format(PyExc_RuntimeError, "%s() called after its request was over", Py_TYPE(callable)->tp_name);
    return nullptr;
  }
  leave_if_forked(gil, exchange->forks_before);
  if (exchange->is_flushing) {
    PyErr_Format(PyExc_RuntimeError, "%s() called while the answer is being sent", Py_TYPE(callable)->tp_name);
    return nullptr;
  }
  return exchange;
}

}  // namespace stint::embed
