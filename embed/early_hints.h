// wsgi.early_hints: a callable that takes a list of (name, value) tuples and has them sent at once as 103 (RFC 8297),
// while the application still works on its answer. Clients of HTTP/1.0 do not know such answers and get none.
#pragma once

#include "embed/exchange.h"

namespace stint::embed {

// Once a process, before any other function here. False: a Python error is set.
bool ready_early_hints_type(const Gil& gil);

// The callable of one request after the other, of calls that follow each other: making one for each would cost every
// request something that few use. One that an application keeps is left to it, and raises RuntimeError.
class EarlyHints {
 public:
  // Connects the callable with a request; null with a Python error set when memory is short.
  PyObject* begin(const Gil& gil, Exchange& exchange);
  void end(const Gil& gil);

 private:
  PyRef callable_;
};

}  // namespace stint::embed
