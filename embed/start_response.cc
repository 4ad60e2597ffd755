#include "embed/start_response.h"

#include "embed/py_text.h"
#include "embed/released_objects.h"

#include <strings.h>

#include <charconv>
#include <cstddef>
#include <string>

namespace stint::embed {
namespace {

// Both callables are one C type: a vectorcall function and the exchange it works on. `partner` is the write() that
// start_response returns (made by its first call); null in write() itself.
struct Callable {
  PyObject_HEAD vectorcallfunc vectorcall;
  Exchange* exchange;  // null once the request is over
  PyObject* partner;
};

Callable* as_callable(PyObject* object) { return reinterpret_cast<Callable*>(object); }

void dealloc(PyObject* self) {
  Py_XDECREF(as_callable(self)->partner);
  Py_TYPE(self)->tp_free(self);
}

PyObject* repr(PyObject* self) { return PyUnicode_FromFormat("<%s>", Py_TYPE(self)->tp_name); }

PyTypeObject type_of_callable(const char* name) {
  PyTypeObject type = {PyVarObject_HEAD_INIT(nullptr, 0)};
  type.tp_name = name;
  type.tp_basicsize = sizeof(Callable);
  type.tp_dealloc = dealloc;
  type.tp_repr = repr;
  type.tp_call = PyVectorcall_Call;
  type.tp_vectorcall_offset = offsetof(Callable, vectorcall);
  type.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL;
  return type;
}

PyTypeObject start_response_type = type_of_callable("stint.start_response");
PyTypeObject write_type = type_of_callable("stint.write");

PyObject* make_callable(PyTypeObject& type, vectorcallfunc function, Exchange* exchange) {
  Callable* made = PyObject_New(Callable, &type);
  if (made == nullptr) return nullptr;
  made->vectorcall = function;
  made->exchange = exchange;
  made->partner = nullptr;
  return reinterpret_cast<PyObject*>(made);
}

// The exchange if its sink may be used now, by whatever thread has the GIL; else null with a Python error set.
Exchange* usable_exchange(const Gil& gil, PyObject* self) {
  Exchange* exchange = as_callable(self)->exchange;
  if (exchange == nullptr) {
    PyErr_Format(PyExc_RuntimeError, "%s() called after its request was over", Py_TYPE(self)->tp_name);
    return nullptr;
  }
  leave_if_forked(gil, exchange->forks_before);
  if (exchange->is_flushing) {
    PyErr_Format(PyExc_RuntimeError, "%s() called while the answer is being sent", Py_TYPE(self)->tp_name);
    return nullptr;
  }
  return exchange;
}

// write(bytes): the bytes are with the kernel when it returns. Unlike start_response it lets the GIL go while it uses
// the sink, so it belongs to the thread of the call, which otherwise might use the sink at the same time.
PyObject* call_write(PyObject* self, PyObject* const* args, std::size_t nargsf, PyObject* keywords) noexcept {
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
  if (!exchange->is_client_gone && PyBytes_GET_SIZE(args[0]) > 0) {
    exchange->sink.write(chunk_of(gil, args[0]));
    exchange->flush(gil);
  }
  if (exchange->is_client_gone) {
    PyErr_SetString(PyExc_BrokenPipeError, "the client has closed the connection");
    return nullptr;
  }
  Py_RETURN_NONE;
}

// Fills exchange.fields with views into the strings of `headers`. False: a Python error is set.
bool read_fields(const Gil& gil, Exchange& exchange, PyObject* headers) {
  if (!PyList_Check(headers)) {
    PyErr_Format(PyExc_TypeError, "start_response: headers must be a list of (name, value) tuples, not %s",
                 Py_TYPE(headers)->tp_name);
    return false;
  }
  exchange.fields.clear();
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(headers); ++i) {
    PyObject* pair = PyList_GET_ITEM(headers, i);
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
      PyErr_Format(PyExc_TypeError, "start_response: headers[%zd] must be a (name, value) tuple, not %R", i, pair);
      return false;
    }
    PyObject* name = PyTuple_GET_ITEM(pair, 0);
    PyObject* value = PyTuple_GET_ITEM(pair, 1);
    if (!PyUnicode_Check(name) || !PyUnicode_Check(value)) {
      PyErr_Format(PyExc_TypeError, "start_response: headers[%zd] must be two str, not (%s, %s)", i,
                   Py_TYPE(name)->tp_name, Py_TYPE(value)->tp_name);
      return false;
    }
    auto name_bytes = latin1_bytes(gil, name);
    auto value_bytes = latin1_bytes(gil, value);
    if (!name_bytes || !value_bytes) {
      PyErr_Format(PyExc_ValueError, "start_response: headers[%zd] has characters above U+00FF: %A", i, pair);
      return false;
    }
    exchange.fields.push_back({*name_bytes, *value_bytes});
  }
  return true;
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
PyObject* call_start_response(PyObject* self, PyObject* const* args, std::size_t nargsf, PyObject* keywords) noexcept {
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
  if (!read_fields(gil, *exchange, headers)) return nullptr;
  if (auto done = exchange->sink.set_head(*status_bytes, exchange->fields); !done.has_value()) {
    std::string why = "start_response: " + done.error().text();
    PyRef message = PyRef::steal(PyUnicode_DecodeUTF8(why.data(), static_cast<Py_ssize_t>(why.size()), "replace"));
    if (message) PyErr_SetObject(PyExc_ValueError, message.get());
    return nullptr;
  }
  exchange->content_length = declared_length(exchange->fields);

  PyObject*& write = as_callable(self)->partner;
  if (write == nullptr) write = make_callable(write_type, call_write, exchange);
  Py_XINCREF(write);
  return write;
}

}  // namespace

bool ready_start_response_types(const Gil&) {
  return PyType_Ready(&start_response_type) == 0 && PyType_Ready(&write_type) == 0;
}

StartResponse::StartResponse(const Gil&, Exchange& exchange)
    : callable_(PyRef::steal(make_callable(start_response_type, call_start_response, &exchange))) {}

StartResponse::~StartResponse() {
  if (!callable_) return;
  Callable* start_response = as_callable(callable_.get());
  start_response->exchange = nullptr;
  if (start_response->partner != nullptr) as_callable(start_response->partner)->exchange = nullptr;
}

}  // namespace stint::embed
