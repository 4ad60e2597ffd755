#include "embed/error_stream.h"

#include "embed/py_error.h"
#include "embed/py_text.h"

#include <new>
#include <string>
#include <string_view>
#include <utility>

namespace stint::embed {
namespace {

// Longer lines are cut into pieces of this size.
constexpr std::size_t longest_line = 64 * 1024;
// So many characters of a text are taken at a time: beside itself it needs little memory, however long it is.
constexpr Py_ssize_t piece_length = 16 * 1024;

struct Stream {
  PyObject_HEAD Log* log;
  unsigned worker;
  PyObject* request_id;
  std::string partial;  // UTF-8; with the GIL held only
};

Stream* as_stream(PyObject* object) { return reinterpret_cast<Stream*>(object); }

void log_lines(Log& log, unsigned worker, std::string_view request_id, std::string_view text) {
  while (!text.empty()) {
    std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    do {
      const std::string_view piece = beginning(line, longest_line);
      log.write(LogLevel::error, "application", {{"worker", worker}, {"request", request_id}, {"text", piece}});
      line.remove_prefix(piece.size());
    } while (!line.empty());
  }
}

// Logs `text`, all of it lines, without the GIL: the log may wait for its reader.
void log_without_gil(const Gil& gil, Stream* stream, const std::string& text) {
  std::string request_id = utf8(gil, stream->request_id);
  GilReleased released(gil);
  log_lines(*stream->log, stream->worker, request_id, text);
}

// Logs the lines in `text`, all of it where it is long, and leaves the rest there. Up to `looked_at` there is no end of
// one.
void log_complete(const Gil& gil, Stream* stream, std::string& text, std::size_t looked_at) {
  std::size_t end = std::string_view(text).substr(looked_at).rfind('\n');
  if (end != std::string::npos) {
    end += looked_at;
    log_without_gil(gil, stream, text.substr(0, end + 1));
    text.erase(0, end + 1);
  }
  if (text.size() >= longest_line) log_without_gil(gil, stream, std::exchange(text, {}));
}

bool append_piece(const Gil& gil, std::string& text, PyObject* piece) {
  const std::string bytes = utf8(gil, piece);
  if (bytes.empty() && PyUnicode_GET_LENGTH(piece) > 0) {
    PyErr_NoMemory();
    return false;
  }
  text += bytes;
  return true;
}

// False: a Python error is set.
bool put_str(const Gil& gil, Stream* stream, PyObject* text) {
  if (!PyUnicode_Check(text)) {
    PyErr_Format(PyExc_TypeError, "wsgi.errors: write() takes str, not %s", Py_TYPE(text)->tp_name);
    return false;
  }
  // One write stays together: what it goes on from is taken, because another thread may write while the GIL is away.
  std::string own = std::exchange(stream->partial, {});
  const Py_ssize_t length = PyUnicode_GET_LENGTH(text);
  for (Py_ssize_t begin = 0; begin < length; begin += piece_length) {
    PyRef part = length <= piece_length ? PyRef::borrow(text)
                                        : PyRef::steal(PyUnicode_Substring(text, begin, begin + piece_length));
    const std::size_t before = own.size();
    if (!part || !append_piece(gil, own, part.get())) return false;
    log_complete(gil, stream, own, before);
  }
  if (stream->partial.empty())
    stream->partial = std::move(own);
  else
    stream->partial.insert(0, own);
  return true;
}

PyObject* write(PyObject* self, PyObject* text) noexcept {
  return or_memory_error([&]() -> PyObject* {
    if (!put_str(gil_of_caller(), as_stream(self), text)) return nullptr;
    return PyLong_FromSsize_t(PyUnicode_GET_LENGTH(text));
  });
}

PyObject* writelines(PyObject* self, PyObject* lines) noexcept {
  return or_memory_error([&]() -> PyObject* {
    const Gil gil = gil_of_caller();
    PyRef iterator = PyRef::steal(PyObject_GetIter(lines));
    if (!iterator) return nullptr;
    while (PyRef line = PyRef::steal(PyIter_Next(iterator.get()))) {
      if (!put_str(gil, as_stream(self), line.get())) return nullptr;
    }
    if (PyErr_Occurred() != nullptr) return nullptr;
    Py_RETURN_NONE;
  });
}

void log_partial(const Gil& gil, Stream* stream) {
  if (!stream->partial.empty()) log_without_gil(gil, stream, std::exchange(stream->partial, {}));
}

PyObject* flush(PyObject* self, PyObject*) noexcept {
  return or_memory_error([&]() -> PyObject* {
    log_partial(gil_of_caller(), as_stream(self));
    Py_RETURN_NONE;
  });
}

void dealloc(PyObject* self) {
  const Gil gil = gil_of_caller();
  Stream* stream = as_stream(self);
  // Only where it was written to after its call. With the GIL: it must not change hands in the middle of a
  // deallocation.
  try {
    if (!stream->partial.empty()) {
      log_lines(*stream->log, stream->worker, utf8(gil, stream->request_id), stream->partial);
    }
  } catch (const std::bad_alloc&) {  // nobody is left to tell
  }
  Py_DECREF(stream->request_id);
  stream->partial.~basic_string();
  Py_TYPE(self)->tp_free(self);
}

PyMethodDef methods[] = {
    {"write", write, METH_O, "write(str) -> number of characters"},
    {"writelines", writelines, METH_O, "writelines(iterable of str)"},
    {"flush", flush, METH_NOARGS, "flush()"},
    {nullptr, nullptr, 0, nullptr},
};

PyTypeObject make_type() {
  PyTypeObject made = {PyVarObject_HEAD_INIT(nullptr, 0)};
  made.tp_name = "stint.ErrorStream";
  made.tp_basicsize = sizeof(Stream);
  made.tp_dealloc = dealloc;
  made.tp_flags = Py_TPFLAGS_DEFAULT;
  made.tp_doc = "wsgi.errors: lines for the server's log";
  made.tp_methods = methods;
  return made;
}

PyTypeObject type = make_type();

}  // namespace

bool ready_error_stream_type(const Gil&) { return PyType_Ready(&type) == 0; }

PyRef make_error_stream(const Gil&, Log& log, unsigned worker, PyObject* request_id) {
  Stream* stream = PyObject_New(Stream, &type);
  if (stream == nullptr) return {};
  stream->log = &log;
  stream->worker = worker;
  Py_INCREF(request_id);
  stream->request_id = request_id;
  new (&stream->partial) std::string;
  return PyRef::steal(reinterpret_cast<PyObject*>(stream));
}

void end_error_stream(const Gil& gil, PyObject* stream) noexcept {
  try {
    log_partial(gil, as_stream(stream));
  } catch (const std::bad_alloc&) {  // nobody is left to tell
  }
}

}  // namespace stint::embed
