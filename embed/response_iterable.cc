#include "embed/response_iterable.h"

#include "embed/file_wrapper.h"
#include "embed/interruption.h"
#include "embed/py_error.h"
#include "embed/released_objects.h"

#include <string>

namespace stint::embed {
namespace {

ApplicationFailure no_start_response() {
  return {"the application gave its answer without having called start_response", ""};
}

ApplicationFailure wrong_item(PyObject* item) {
  return {std::string("TypeError: the application's iterable gave ") + Py_TYPE(item)->tp_name + ", not bytes", ""};
}

bool is_body_with_length(Exchange& exchange, std::uint64_t length) {
  // A HEAD is often answered by an empty list; its Content-Length is then not that of the GET. 204 and 304 have none.
  return !exchange.sink.is_complete() || (exchange.is_head_request && length > 0);
}

// A list or tuple: all items exist, so its length is known, none is waited for, and none needs to be with the kernel
// before the next is asked for. The usual answer of a framework is a list of one.
std::optional<ApplicationFailure> send_sequence(const Gil& gil, Exchange& exchange, PyObject* sequence) {
  ResponseSink& sink = exchange.sink;
  PyObject** items = PySequence_Fast_ITEMS(sequence);  // stays as it is: nothing here lets other code run
  Py_ssize_t count = PySequence_Fast_GET_SIZE(sequence);
  std::uint64_t length = 0;
  for (Py_ssize_t i = 0; i < count; ++i) {
    if (!PyBytes_Check(items[i])) return wrong_item(items[i]);
    length += static_cast<std::uint64_t>(PyBytes_GET_SIZE(items[i]));
  }
  if (!sink.has_head()) return no_start_response();
  if (!sink.has_sent_head() && is_body_with_length(exchange, length)) sink.set_length(length);
  for (Py_ssize_t i = 0; i < count && !sink.is_complete(); ++i) {
    if (PyBytes_GET_SIZE(items[i]) > 0) sink.write(chunk_of(gil, items[i]));
  }
  return std::nullopt;
}

// Any other iterable: item k is with the kernel before item k+1 is asked for (PEP 3333, "Buffering and Streaming"). The
// head waits for the first item that is not empty: until then start_response may still be called with exc_info.
std::optional<ApplicationFailure> send_items(const Gil& gil, Exchange& exchange, PyObject* iterable) {
  PyRef iterator = PyRef::steal(PyObject_GetIter(iterable));
  leave_if_forked(gil, exchange.forks_before);
  if (!iterator) return take_failure(gil, exchange);
  while (true) {
    PyRef item = PyRef::steal(PyIter_Next(iterator.get()));
    leave_if_forked(gil, exchange.forks_before);
    if (!item) break;
    if (!PyBytes_Check(item.get())) return wrong_item(item.get());
    if (exchange.is_client_gone) return std::nullopt;  // write() found out
    if (PyBytes_GET_SIZE(item.get()) == 0) {           // nothing yet (PEP 3333): perhaps nobody waits any more
      exchange.is_client_gone = exchange.sink.is_client_gone();
      if (exchange.is_client_gone) return std::nullopt;
      continue;
    }
    if (!exchange.sink.has_head()) return no_start_response();
    exchange.sink.write(chunk_of(gil, item.get()));
    // Complete: nothing more is wanted, and the worker sends it together with the end of the answer.
    if (exchange.sink.is_complete() || !exchange.flush(gil)) return std::nullopt;
  }
  if (PyErr_Occurred() != nullptr) return take_failure(gil, exchange);
  if (!exchange.sink.has_head()) return no_start_response();
  return std::nullopt;
}

}  // namespace

std::optional<ApplicationFailure> take_failure(const Gil& gil, const Exchange& exchange) {
  if (is_interruption(gil, exchange)) {  // its client has been answered, or has gone
    PyErr_Clear();
    return std::nullopt;
  }
  if (exchange.is_client_gone && PyErr_ExceptionMatches(PyExc_BrokenPipeError) != 0) {
    PyErr_Clear();
    return std::nullopt;
  }
  return take_python_error(gil).as_failure();
}

std::optional<ApplicationFailure> send_body(const Gil& gil, Exchange& exchange, PyObject* iterable) {
  if (exchange.is_client_gone) return std::nullopt;
  if (PyList_CheckExact(iterable) || PyTuple_CheckExact(iterable)) return send_sequence(gil, exchange, iterable);
  if (is_file_wrapper(iterable) && exchange.sink.has_head() && send_as_file(gil, exchange, iterable)) {
    return std::nullopt;
  }
  if (iterable == Py_None || PyBytes_Check(iterable) || PyUnicode_Check(iterable)) {
    return ApplicationFailure{std::string("TypeError: the application returned ") + Py_TYPE(iterable)->tp_name +
                                  ", not an iterable of bytes such as [b\"…\"]",
                              ""};
  }
  return send_items(gil, exchange, iterable);
}

std::optional<ApplicationFailure> close_iterable(const Gil& gil, const Exchange& exchange, PyObject* iterable) {
  if (PyList_CheckExact(iterable) || PyTuple_CheckExact(iterable)) return std::nullopt;
  PyRef close = PyRef::steal(PyObject_GetAttrString(iterable, "close"));
  if (!close) {
    if (PyErr_ExceptionMatches(PyExc_AttributeError) == 0) return take_python_error(gil).as_failure();
    PyErr_Clear();
    return std::nullopt;
  }
  PyRef done = PyRef::steal(PyObject_CallObject(close.get(), nullptr));
  leave_if_forked(gil, exchange.forks_before);
  if (!done) return take_failure(gil, exchange);
  return std::nullopt;
}

}  // namespace stint::embed
