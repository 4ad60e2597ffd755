// wsgi.input: the body of one request, which the worker has received completely before the call. Reads ahead of nothing
// and ends where the body ends, so `wsgi.input_terminated` holds.
#pragma once

#include "embed/gil.h"

#include "stint/request.h"

namespace stint::embed {

// Once a process, before any other function here. False: a Python error is set.
bool ready_input_stream_type(const Gil& gil);

// Owns wsgi.input for one request. The application may keep the Python object, and read it from other threads; from
// the destructor on it raises ValueError and touches neither memory nor file of the connection again.
class InputStream {
 public:
  // Empty object() with a Python error set when memory is short.
  InputStream(const Gil& gil, const RequestBody& body);
  InputStream(const InputStream&) = delete;
  InputStream& operator=(const InputStream&) = delete;
  ~InputStream();

  PyObject* object() const { return object_.get(); }

 private:
  const Gil& gil_;
  PyRef object_;
};

}  // namespace stint::embed
