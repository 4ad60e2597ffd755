#include "embed/start_response.h"

#include "embed/exchange_callable.h"
#include "embed/field_list.h"
#include "embed/py_error.h"
#include "embed/py_text.h"
#include "embed/released_objects.h"

#include <strings.h>

#include <charconv>
#include <string>

namespace stint::embed {
namespace {

PyTypeObject start_response_type = type_of_exchange_callable("stint.start_response");
PyTypeObject write_type = type_of_exchange_callable("stint.write");

// write(bytes): the bytes are with the kernel when it returns. Unlike start_response it lets the GIL go while it uses
// the sink, so it belongs to the thread of the call, which otherwise might use the sink at the same time.
PyObject* write(PyObject* self, PyObject* const* args, std::size_t nargsf, PyObject* keywords) {
  const Gil gil = gil_of_caller();
  if (PyVectorcall_NARGS(nargsf) != 1 || (keywords != nullptr && PyTuple_GET_SIZE(keywords) != 0)) {
    PyErr_SetString(PyExc_TypeError, "write() takes one argument, bytes");
    return nullptr;
  }
  if (!PyBytes_Check(args[0])) {
    PyErr_Format(PyExc_TypeError, "write() takes bytes, not %s", Py_TYPE(args[0])->tp_name);
    return nullptr;
  }
  Exchange* exchange = usable_exchange(gil, self);
  if (exchange == nullptr) return nullptr;
  if (PyThread_get_thread_ident() != exchange->thread) {
    PyErr_Format(PyExc_RuntimeError, "%s() called from another thread than its request's", Py_TYPE(self)->tp_name);
    return nullptr;
  }
  if (exchange->is_cut) return PyErr_NoMemory();
  if (!exchange->is_client_gone && PyBytes_GET_SIZE(args[0]) > 0) {
    exchange->is_cut = true;  // until it is all there: memory may run out in the middle of a chunk
    exchange->sink.write(chunk_of(gil, args[0]));
    exchange->flush(gil);
    exchange->is_cut = false;
  }
  if (exchange->is_client_gone) {
    PyErr_SetString(PyExc_BrokenPipeError, "the client has closed the connection");
    return nullptr;
  }
  Py_RETURN_NONE;
}

PyObject* call_write(PyObject* self, PyObject* const* args, std::size_t nargsf, PyObject* keywords) noexcept {
  return or_memory_error([&] { return write(self, args, nargsf, keywords); });
}

std::optional<std::uint64_t> declared_length(const std::vector<HeaderField>& fields) {
  constexpr std::string_view wanted = "content-length";
  for (const HeaderField& field : fields) {
    if (field.name.size() != wanted.size() || strncasecmp(field.name.data(), wanted.data(), wanted.size()) != 0) {
      continue;
    }
    std::uint64_t length = 0;  // the sink has found it to be digits
    if (std::from_chars(field.value.data(), field.value.data() + field.value.size(), length).ec == std::errc()) {
      return length;
    }
  }
  return std::nullopt;
}

// start_response(…, exc_info) after body bytes went out: the head cannot be replaced, the error goes on through the
// application, and the client must see that the answer is broken.
void raise_again(PyObject* exc_info) {
  PyObject* type = PyTuple_GET_ITEM(exc_info, 0);
  PyObject* value = PyTuple_GET_ITEM(exc_info, 1);
  PyObject* traceback = PyTuple_GET_ITEM(exc_info, 2);
  if (!PyExceptionClass_Check(type)) {
    PyErr_SetString(PyExc_TypeError, "start_response: exc_info is not what sys.exc_info() gives");
    return;
  }
  Py_INCREF(type);
  Py_INCREF(value);
  if (!PyTraceBack_Check(traceback)) traceback = nullptr;
  Py_XINCREF(traceback);
  PyErr_Restore(type, value, traceback);
}

// Reads status, headers and exc_info from a call's arguments. False: a Python error is set.
bool read_arguments(PyObject* const* args, Py_ssize_t count, PyObject* keywords, PyObject* (&values)[3]) {
  for (Py_ssize_t i = 0; i < count && i < 3; ++i) values[i] = args[i];
  Py_ssize_t keyword_count = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
  for (Py_ssize_t i = 0; i < keyword_count; ++i) {
    PyObject* keyword = PyTuple_GET_ITEM(keywords, i);
    if (PyUnicode_CompareWithASCIIString(keyword, "exc_info") != 0 || values[2] != nullptr) {
      PyErr_Format(PyExc_TypeError, "start_response() got an unexpected keyword argument %R", keyword);
      return false;
    }
    values[2] = args[count + i];
  }
  if (count > 3 || values[0] == nullptr || values[1] == nullptr) {
    PyErr_SetString(PyExc_TypeError, "start_response() takes status, headers and optionally exc_info");
    return false;
  }
  return true;
}

// start_response(status, headers, exc_info=None) -> write
PyObject* start(PyObject* self, PyObject* const* args, std::size_t nargsf, PyObject* keywords) {
  const Gil gil = gil_of_caller();
  PyObject* values[3] = {};
  if (!read_arguments(args, PyVectorcall_NARGS(nargsf), keywords, values)) return nullptr;
  auto [status, headers, exc_info] = values;
  Exchange* exchange = usable_exchange(gil, self);
  if (exchange == nullptr) return nullptr;

  if (exc_info != nullptr && exc_info != Py_None) {
    if (!PyTuple_Check(exc_info) || PyTuple_GET_SIZE(exc_info) != 3) {
      PyErr_SetString(PyExc_TypeError, "start_response: exc_info is not what sys.exc_info() gives");
      return nullptr;
    }
    if (exchange->sink.has_sent_head()) {
      exchange->has_failed_late = true;
      raise_again(exc_info);
      return nullptr;
    }
  } else if (exchange->sink.has_head()) {
    PyErr_SetString(PyExc_RuntimeError, "start_response() called a second time without exc_info");
    return nullptr;
  }

  if (!PyUnicode_Check(status)) {
    PyErr_Format(PyExc_TypeError, "start_response: status must be str, not %s", Py_TYPE(status)->tp_name);
    return nullptr;
  }
  auto status_bytes = latin1_bytes(gil, status);
  if (!status_bytes) {
    PyErr_Format(PyExc_ValueError, "start_response: status has characters above U+00FF: %A", status);
    return nullptr;
  }
  if (!read_field_list(gil, "start_response", headers, exchange->fields)) return nullptr;
  if (auto done = exchange->sink.set_head(*status_bytes, exchange->fields); !done.has_value()) {
    std::string why = "start_response: " + done.error().text();
    PyRef message = PyRef::steal(PyUnicode_DecodeUTF8(why.data(), static_cast<Py_ssize_t>(why.size()), "replace"));
    if (message) PyErr_SetObject(PyExc_ValueError, message.get());
    return nullptr;
  }
  exchange->content_length = declared_length(exchange->fields);

  PyObject*& write = as_exchange_callable(self)->partner;
  if (write == nullptr) write = make_exchange_callable(write_type, call_write, exchange);
  Py_XINCREF(write);
  return write;
}

PyObject* call_start_response(PyObject* self, PyObject* const* args, std::size_t nargsf, PyObject* keywords) noexcept {
  return or_memory_error([&] { return start(self, args, nargsf, keywords); });
}

}  // namespace

bool ready_start_response_types(const Gil&) {
  return PyType_Ready(&start_response_type) == 0 && PyType_Ready(&write_type) == 0;
}

StartResponse::StartResponse(const Gil&, Exchange& exchange)
    : callable_(PyRef::steal(make_exchange_callable(start_response_type, call_start_response, &exchange))) {}

StartResponse::~StartResponse() {
  if (!callable_) return;
  ExchangeCallable* start_response = as_exchange_callable(callable_.get());
  start_response->exchange = nullptr;
  if (start_response->partner != nullptr) as_exchange_callable(start_response->partner)->exchange = nullptr;
}

}  // namespace stint::embed
