// start_response and the write() it returns (PEP 3333): what the application gives is checked here and by the sink,
// and is wrong where the application can see it, at the call.
#pragma once

#include "embed/exchange.h"

namespace stint::embed {

// Once a process, before any other function here. False: a Python error is set.
bool ready_start_response_types(const Gil& gil);

// The two callables of one call into the application. They are objects of that request only: one that the application
// keeps raises RuntimeError once the request is over.
class StartResponse {
 public:
  // Empty callable() with a Python error set when memory is short.
  StartResponse(const Gil& gil, Exchange& exchange);
  StartResponse(const StartResponse&) = delete;
  StartResponse& operator=(const StartResponse&) = delete;
  ~StartResponse();  // disconnects the callables from the exchange

  PyObject* callable() const { return callable_.get(); }

 private:
  PyRef callable_;
};

}  // namespace stint::embed
