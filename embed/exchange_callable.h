// What start_response, write() and wsgi.early_hints have in common: C callables that work on the exchange of one
// request, and are useless once it is over.
#pragma once

#include "embed/exchange.h"

namespace stint::embed {

// A vectorcall function and the exchange it works on. `partner` is the write() that start_response returns (made by its
// first call); null in the others.
struct ExchangeCallable {
  PyObject_HEAD vectorcallfunc vectorcall;
  Exchange* exchange;  // null once the request is over
  PyObject* partner;
};

inline ExchangeCallable* as_exchange_callable(PyObject* object) { return reinterpret_cast<ExchangeCallable*>(object); }

// A static type with this name ("stint.write"); PyType_Ready before use.
PyTypeObject type_of_exchange_callable(const char* name);

// A new one; null with a Python error set when memory is short.
PyObject* make_exchange_callable(PyTypeObject& type, vectorcallfunc function, Exchange* exchange);

// The exchange if its sink may be used now, by whatever thread has the GIL; else null with a Python error set.
Exchange* usable_exchange(const Gil& gil, PyObject* callable);

}  // namespace stint::embed
