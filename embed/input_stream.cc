#include "embed/input_stream.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>

namespace stint::embed {
namespace {

// A read of a file shorter than this keeps the GIL: it comes from the page cache in less time than a hand-over takes.
constexpr std::uint64_t large_read = 64 * 1024;
// How much of a file is looked at at a time for the end of a line: of the usual one, and of one that is long.
constexpr std::size_t line_piece = 8 * 1024;
constexpr std::size_t long_line_piece = 256 * 1024;

struct Stream {
  PyObject_HEAD RequestBody body;
  std::uint64_t position;  // with the GIL held only
  // Set with the GIL held; read under `reading` by readers that have let the GIL go. Once it is set and `reading` has
  // been taken and left, no reader is in the file.
  std::atomic<bool> is_over;
  std::mutex reading;  // never waited for with the GIL held
};

Stream* as_stream(PyObject* object) { return reinterpret_cast<Stream*>(object); }

void dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);  // the head is a part of what is destroyed next
  as_stream(self)->~Stream();
  type->tp_free(self);
}

void raise_over() { PyErr_SetString(PyExc_ValueError, "wsgi.input: the request is over"); }

std::uint64_t remaining(const Stream* stream) { return stream->body.size - stream->position; }

// pread(2) until `size` bytes are there; 0 or errno. A file that ends early was truncated by someone: EIO.
int read_file(int file, char* out, std::uint64_t size, std::uint64_t offset) {
  while (size > 0) {
    ssize_t got = ::pread(file, out, std::min<std::uint64_t>(size, 1U << 30), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got < 0 ? errno : EIO;
    out += got;
    offset += static_cast<std::uint64_t>(got);
    size -= static_cast<std::uint64_t>(got);
  }
  return 0;
}

// Copies `size` bytes of the body from `offset`. False: a Python error is set. REQUIRES: they are there.
bool copy_body(const Gil& gil, Stream* stream, std::uint64_t offset, char* out, std::uint64_t size) {
  if (stream->body.file < 0) {
    std::memcpy(out, stream->body.memory.data() + offset, size);
    return true;
  }
  int error = 0;
  if (size < large_read) {
    error = read_file(stream->body.file, out, size, offset);
  } else {
    GilReleased released(gil);
    std::lock_guard lock(stream->reading);
    error = stream->is_over ? EBADF : read_file(stream->body.file, out, size, offset);
  }
  if (stream->is_over) {
    raise_over();
    return false;
  }
  if (error == 0) return true;
  errno = error;
  PyErr_SetFromErrno(PyExc_OSError);
  return false;
}

// The next `size` bytes, or what is left. The position moves first, so that a second thread reads what comes after.
PyObject* take(const Gil& gil, Stream* stream, std::uint64_t size) {
  size = std::min(size, remaining(stream));
  PyRef bytes = PyRef::steal(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size)));
  if (!bytes) return nullptr;
  std::uint64_t offset = stream->position;
  stream->position += size;
  if (size > 0 && !copy_body(gil, stream, offset, PyBytes_AS_STRING(bytes.get()), size)) return nullptr;
  return bytes.release();
}

// Bytes from the position to the end of the line, at most `limit`. nullopt: a Python error is set.
std::optional<std::uint64_t> line_length(const Gil& gil, Stream* stream, std::uint64_t limit) {
  limit = std::min(limit, remaining(stream));
  if (stream->body.file < 0) {
    std::string_view rest = stream->body.memory.substr(stream->position, limit);
    std::size_t end = rest.find('\n');
    return end == std::string_view::npos ? limit : end + 1;
  }
  char short_piece[line_piece];
  std::unique_ptr<char[]> long_piece;
  const std::uint64_t begin = stream->position;
  for (std::uint64_t seen = 0; seen < limit;) {
    if (seen >= large_read && !long_piece) long_piece.reset(new (std::nothrow) char[long_line_piece]);
    char* const piece = long_piece ? long_piece.get() : short_piece;
    const std::size_t most = long_piece ? long_line_piece : line_piece;
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(limit - seen, most));
    if (!copy_body(gil, stream, begin + seen, piece, size)) return std::nullopt;
    if (const void* end = std::memchr(piece, '\n', size); end != nullptr) {
      return seen + static_cast<std::uint64_t>(static_cast<const char*>(end) - piece) + 1;
    }
    seen += size;
  }
  return limit;
}

PyObject* take_line(const Gil& gil, Stream* stream, std::uint64_t limit) {
  for (;;) {
    const std::uint64_t begin = stream->position;
    auto length = line_length(gil, stream, limit);
    if (!length) return nullptr;
    if (stream->position == begin) return take(gil, stream, *length);
    // It let the GIL go, and another thread has read meanwhile.
  }
}

// The one optional argument of read, readline and readlines: absent, None and negative mean "no limit".
// nullopt: a Python error is set, also when the request is over.
std::optional<std::uint64_t> size_argument(Stream* stream, PyObject* const* args, Py_ssize_t count) {
  if (stream->is_over) {
    raise_over();
    return std::nullopt;
  }
  if (count > 1) {
    PyErr_SetString(PyExc_TypeError, "wsgi.input: takes at most one argument");
    return std::nullopt;
  }
  if (count == 0 || args[0] == Py_None) return UINT64_MAX;
  Py_ssize_t size = PyNumber_AsSsize_t(args[0], nullptr);  // numbers too large are clipped
  if (size == -1 && PyErr_Occurred() != nullptr) return std::nullopt;
  return size < 0 ? UINT64_MAX : static_cast<std::uint64_t>(size);
}

PyObject* read(PyObject* self, PyObject* const* args, Py_ssize_t count) noexcept {
  const Gil gil = gil_of_caller();
  auto size = size_argument(as_stream(self), args, count);
  return size ? take(gil, as_stream(self), *size) : nullptr;
}

PyObject* readline(PyObject* self, PyObject* const* args, Py_ssize_t count) noexcept {
  const Gil gil = gil_of_caller();
  auto limit = size_argument(as_stream(self), args, count);
  return limit ? take_line(gil, as_stream(self), *limit) : nullptr;
}

// readlines(hint): whole lines until together they have at least `hint` bytes; 0 is no hint, as in io.IOBase.
PyObject* readlines(PyObject* self, PyObject* const* args, Py_ssize_t count) noexcept {
  const Gil gil = gil_of_caller();
  Stream* stream = as_stream(self);
  auto hint = size_argument(stream, args, count);
  if (!hint) return nullptr;
  PyRef lines = PyRef::steal(PyList_New(0));
  if (!lines) return nullptr;
  for (std::uint64_t total = 0; remaining(stream) > 0 && (*hint == 0 || total < *hint);) {
    PyRef line = PyRef::steal(take_line(gil, stream, UINT64_MAX));
    if (!line || PyList_Append(lines.get(), line.get()) != 0) return nullptr;
    total += static_cast<std::uint64_t>(PyBytes_GET_SIZE(line.get()));
  }
  return lines.release();
}

PyObject* next_line(PyObject* self) noexcept {
  const Gil gil = gil_of_caller();
  Stream* stream = as_stream(self);
  if (stream->is_over) {
    raise_over();
    return nullptr;
  }
  if (remaining(stream) == 0) return nullptr;  // StopIteration
  return take_line(gil, stream, UINT64_MAX);
}

template <class Function>
PyCFunction as_method(Function* function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(function));
}

PyMethodDef methods[] = {
    {"read", as_method(read), METH_FASTCALL, "read(size=-1) -> bytes"},
    {"readline", as_method(readline), METH_FASTCALL, "readline(size=-1) -> bytes"},
    {"readlines", as_method(readlines), METH_FASTCALL, "readlines(hint=-1) -> list of bytes"},
    {nullptr, nullptr, 0, nullptr},
};

PyTypeObject make_type() {
  PyTypeObject made = {PyVarObject_HEAD_INIT(nullptr, 0)};
  made.tp_name = "stint.InputStream";
  made.tp_basicsize = sizeof(Stream);
  made.tp_dealloc = dealloc;
  made.tp_flags = Py_TPFLAGS_DEFAULT;
  made.tp_doc = "wsgi.input: the body of a request";
  made.tp_iter = PyObject_SelfIter;
  made.tp_iternext = next_line;
  made.tp_methods = methods;
  return made;
}

PyTypeObject type = make_type();

}  // namespace

bool ready_input_stream_type(const Gil&) { return PyType_Ready(&type) == 0; }

InputStream::InputStream(const Gil& gil, const RequestBody& body) : gil_(gil) {
  Stream* stream = PyObject_New(Stream, &type);
  if (stream == nullptr) return;
  new (&stream->body) RequestBody(body);
  stream->position = 0;
  new (&stream->is_over) std::atomic<bool>(false);
  new (&stream->reading) std::mutex;
  object_ = PyRef::steal(reinterpret_cast<PyObject*>(stream));
}

InputStream::~InputStream() {
  if (!object_) return;
  Stream* stream = as_stream(object_.get());
  stream->is_over = true;
  if (stream->body.file >= 0) {
    GilReleased released(gil_);             // a reader in the file wants the GIL back before it is done
    std::lock_guard lock(stream->reading);  // from here on nobody is in the file
  }
  stream->body = RequestBody{};
  stream->position = 0;
}

}  // namespace stint::embed
