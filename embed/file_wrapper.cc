#include "embed/file_wrapper.h"

#include "embed/py_text.h"

#include <fcntl.h>
#include <structmember.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace stint::embed {
namespace {

constexpr Py_ssize_t default_block_size = 8192;

struct Wrapper {
  PyObject_HEAD PyObject* file;
  Py_ssize_t block_size;
  bool is_closed;
};

Wrapper* as_wrapper(PyObject* object) { return reinterpret_cast<Wrapper*>(object); }

// Types of the io module whose read() gives the file's own bytes; a reference of the process's life each.
PyObject* buffered_reader = nullptr;
PyObject* buffered_random = nullptr;
PyObject* file_io = nullptr;

PyObject* make(PyTypeObject* type, PyObject* args, PyObject* keywords) noexcept {
  static char file_name[] = "filelike";
  static char size_name[] = "blksize";
  static char* names[] = {file_name, size_name, nullptr};
  PyObject* file = nullptr;
  Py_ssize_t block_size = default_block_size;
  if (PyArg_ParseTupleAndKeywords(args, keywords, "O|n:file_wrapper", names, &file, &block_size) == 0) return nullptr;
  PyObject* self = type->tp_alloc(type, 0);
  if (self == nullptr) return nullptr;
  Py_INCREF(file);
  as_wrapper(self)->file = file;
  as_wrapper(self)->block_size = block_size > 0 ? block_size : default_block_size;
  return self;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(as_wrapper(self)->file);
  return 0;
}

int clear(PyObject* self) {
  Py_CLEAR(as_wrapper(self)->file);
  return 0;
}

void dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  clear(self);
  Py_TYPE(self)->tp_free(self);
}

PyObject* next_block(PyObject* self) noexcept {
  Wrapper* wrapper = as_wrapper(self);
  PyRef block = PyRef::steal(PyObject_CallMethod(wrapper->file, "read", "n", wrapper->block_size));
  if (!block) return nullptr;
  int has_content = PyObject_IsTrue(block.get());
  return has_content == 1 ? block.release() : nullptr;  // 0: StopIteration, -1: the error is set
}

// Closes the file, when that can be closed; once, however often it is called.
PyObject* close(PyObject* self, PyObject*) noexcept {
  Wrapper* wrapper = as_wrapper(self);
  if (wrapper->is_closed) Py_RETURN_NONE;
  wrapper->is_closed = true;
  PyRef close = PyRef::steal(PyObject_GetAttrString(wrapper->file, "close"));
  if (!close) {
    if (PyErr_ExceptionMatches(PyExc_AttributeError) == 0) return nullptr;
    PyErr_Clear();
    Py_RETURN_NONE;
  }
  PyRef done = PyRef::steal(PyObject_CallObject(close.get(), nullptr));
  if (!done) return nullptr;
  Py_RETURN_NONE;
}

PyMethodDef methods[] = {
    {"close", close, METH_NOARGS, "Closes the file."},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef members[] = {
    {"filelike", T_OBJECT, offsetof(Wrapper, file), READONLY, nullptr},
    {"blksize", T_PYSSIZET, offsetof(Wrapper, block_size), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyTypeObject make_type() {
  PyTypeObject made = {PyVarObject_HEAD_INIT(nullptr, 0)};
  made.tp_name = "stint.FileWrapper";
  made.tp_basicsize = sizeof(Wrapper);
  made.tp_dealloc = dealloc;
  made.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC;
  made.tp_doc = "wsgi.file_wrapper: file_wrapper(filelike, blksize=8192)";
  made.tp_traverse = traverse;
  made.tp_clear = clear;
  made.tp_iter = PyObject_SelfIter;
  made.tp_iternext = next_block;
  made.tp_methods = methods;
  made.tp_members = members;
  made.tp_new = make;
  return made;
}

PyTypeObject type = make_type();

bool is_exactly(PyObject* object, PyObject* type) { return reinterpret_cast<PyObject*>(Py_TYPE(object)) == type; }

// The plain file whose bytes `file.read` gives, or empty. A fileno() alone proves nothing: gzip.GzipFile has one too,
// of the compressed file. But where `read` is the built-in method of an io object on a raw file, by whatever object it
// was found (Django's File hands out that of the file it holds), those bytes are the file's.
PyRef plain_file(const Gil& gil, PyObject* file) {
  PyRef read = PyRef::steal(PyObject_GetAttrString(file, "read"));
  if (!read || !PyCFunction_Check(read.get())) return {};
  PyRef name = PyRef::steal(PyObject_GetAttrString(read.get(), "__name__"));
  if (!name || !PyUnicode_Check(name.get()) || utf8(gil, name.get()) != "read") return {};
  PyObject* self = PyCFunction_GET_SELF(read.get());
  if (self == nullptr) return {};
  if (is_exactly(self, file_io)) return PyRef::borrow(self);
  if (!is_exactly(self, buffered_reader) && !is_exactly(self, buffered_random)) return {};
  PyRef raw = PyRef::steal(PyObject_GetAttrString(self, "raw"));
  if (!raw || !is_exactly(raw.get(), file_io)) return {};
  return PyRef::borrow(self);
}

// A method without arguments that gives a number; negative when it does not.
long long number_of(PyObject* object, const char* method) {
  PyRef result = PyRef::steal(PyObject_CallMethod(object, method, nullptr));
  if (!result || !PyLong_Check(result.get())) return -1;
  return PyLong_AsLongLong(result.get());
}

struct FilePart {
  UniqueFd file;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// What is left of the file from where it stands; length 0 when the kernel cannot send it. May leave a Python error.
FilePart rest_of(const Gil& gil, PyObject* object) {
  PyRef file = plain_file(gil, object);
  if (!file) return {};
  long long offset = number_of(file.get(), "tell");  // the logical position: what is read ahead does not count
  if (offset < 0) return {};
  long long descriptor = number_of(file.get(), "fileno");
  if (descriptor < 0) return {};
  struct stat status{};
  if (::fstat(static_cast<int>(descriptor), &status) != 0 || !S_ISREG(status.st_mode) || status.st_size <= offset) {
    return {};  // files of /proc have size 0 and are read, too
  }
  UniqueFd copy(::fcntl(static_cast<int>(descriptor), F_DUPFD_CLOEXEC, 0));
  if (!copy.is_open()) return {};
  return {std::move(copy), static_cast<std::uint64_t>(offset), static_cast<std::uint64_t>(status.st_size - offset)};
}

}  // namespace

bool ready_file_wrapper_type(const Gil&) {
  PyRef io = PyRef::steal(PyImport_ImportModule("io"));
  if (!io) return false;
  buffered_reader = PyObject_GetAttrString(io.get(), "BufferedReader");
  buffered_random = PyObject_GetAttrString(io.get(), "BufferedRandom");
  file_io = PyObject_GetAttrString(io.get(), "FileIO");
  return buffered_reader != nullptr && buffered_random != nullptr && file_io != nullptr && PyType_Ready(&type) == 0;
}

PyObject* file_wrapper_type() { return reinterpret_cast<PyObject*>(&type); }

bool send_as_file(const Gil& gil, Exchange& exchange, PyObject* object) {
  Wrapper* wrapper = as_wrapper(object);
  if (wrapper->is_closed) return false;  // reading it then raises, as it should
  FilePart part = rest_of(gil, wrapper->file);
  PyErr_Clear();
  if (part.length == 0) return false;
  ResponseSink& sink = exchange.sink;
  if (!sink.has_sent_head()) {
    if (exchange.content_length) {
      part.length = std::min(part.length, *exchange.content_length);
    } else {
      sink.set_length(part.length);
    }
  }
  if (part.length > 0 && !sink.is_complete()) sink.write_file(std::move(part.file), part.offset, part.length);
  return true;
}

}  // namespace stint::embed
