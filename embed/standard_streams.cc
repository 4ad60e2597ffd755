#include "embed/standard_streams.h"

#include "embed/py_error.h"

#include <cerrno>
#include <string>

namespace stint::embed {
namespace {

PyObject* write_of_file = nullptr;  // FileIO.write; a reference of the process's life

// FileIO.write, but for what has no reader: a pipe or socket whose other end has closed (EPIPE), a terminal that has
// gone (EIO).
PyObject* write(PyObject* self, PyObject* bytes) noexcept {
  const Gil gil = gil_of_caller();
  PyObject* args[] = {self, bytes};
  if (PyObject* written = PyObject_Vectorcall(write_of_file, args, 2, nullptr); written != nullptr) return written;
  const int error = os_error_number(gil);
  if (error != EPIPE && error != EIO) return nullptr;
  PyErr_Clear();
  Py_buffer taken;
  if (PyObject_GetBuffer(bytes, &taken, PyBUF_SIMPLE) != 0) return nullptr;
  const Py_ssize_t size = taken.len;
  PyBuffer_Release(&taken);
  return PyLong_FromSsize_t(size);
}

PyMethodDef methods[] = {
    {"write", write, METH_O, "write(bytes) -> number of bytes; what has no reader is lost"},
    {nullptr, nullptr, 0, nullptr},
};

// A subclass of FileIO; everything else is the file's own.
PyRef make_type(const Gil&, PyObject* file_io) {
  PyType_Slot slots[] = {{Py_tp_methods, methods}, {0, nullptr}};
  PyType_Spec spec = {"stint.StandardStream", 0, 0, Py_TPFLAGS_DEFAULT, slots};
  PyRef bases = PyRef::steal(PyTuple_Pack(1, file_io));
  return bases ? PyRef::steal(PyType_FromSpecWithBases(&spec, bases.get())) : PyRef();
}

PyRef attribute(const Gil&, PyObject* object, const char* name) {
  return PyRef::steal(PyObject_GetAttrString(object, name));
}

bool copy_attribute(const Gil& gil, PyObject* from, PyObject* to, const char* name) {
  PyRef value = attribute(gil, from, name);
  return value && PyObject_SetAttrString(to, name, value.get()) == 0;
}

struct Types {
  PyRef text;  // TextIOWrapper
  PyRef file;  // FileIO
  PyRef ours;
  bool is_python_text(PyObject* stream) const { return reinterpret_cast<PyObject*>(Py_TYPE(stream)) == text.get(); }
  bool is_python_file(PyObject* buffer) const { return reinterpret_cast<PyObject*>(Py_TYPE(buffer)) == file.get(); }
};

// The same stream over a file of our type. Empty: a Python error is set.
PyRef remake(const Gil& gil, PyObject* stream, PyObject* buffer, PyObject* type) {
  PyRef file = PyRef::steal(PyObject_CallMethod(buffer, "fileno", nullptr));
  if (!file) return {};
  PyRef raw = PyRef::steal(PyObject_CallFunction(type, "OsO", file.get(), "wb", Py_False));  // not ours to close
  if (!raw || !copy_attribute(gil, buffer, raw.get(), "name")) return {};

  PyRef arguments = PyRef::steal(PyDict_New());
  PyRef newline = PyRef::steal(PyUnicode_FromString("\n"));
  if (!arguments || !newline || PyDict_SetItemString(arguments.get(), "newline", newline.get()) != 0) return {};
  for (const char* same : {"encoding", "errors", "line_buffering", "write_through"}) {
    PyRef value = attribute(gil, stream, same);
    if (!value || PyDict_SetItemString(arguments.get(), same, value.get()) != 0) return {};
  }
  PyRef position = PyRef::steal(PyTuple_Pack(1, raw.get()));
  if (!position) return {};
  PyRef text =
      PyRef::steal(PyObject_Call(reinterpret_cast<PyObject*>(Py_TYPE(stream)), position.get(), arguments.get()));
  // Python sets it on those that it makes.
  if (text && !copy_attribute(gil, stream, text.get(), "mode")) PyErr_Clear();
  return text;
}

// False: a Python error is set.
bool replace(const Gil& gil, const std::string& name, const Types& types) {
  PyObject* there = PySys_GetObject(name.c_str());  // lent; None when the descriptor was closed
  // Any other is the environment's own (sitecustomize), and its own affair.
  if (there == nullptr || !types.is_python_text(there)) return true;
  PyRef stream = PyRef::borrow(there);
  PyRef buffer = attribute(gil, stream.get(), "buffer");
  if (!buffer) PyErr_Clear();  // detached
  if (!buffer || !types.is_python_file(buffer.get())) return true;
  PyRef made = remake(gil, stream.get(), buffer.get(), types.ours.get());
  return made && PySys_SetObject(name.c_str(), made.get()) == 0 &&
         PySys_SetObject(("__" + name + "__").c_str(), made.get()) == 0;
}

}  // namespace

bool ready_standard_streams(const Gil& gil) {
  PyRef io = PyRef::steal(PyImport_ImportModule("io"));
  if (!io) return false;
  Types types{attribute(gil, io.get(), "TextIOWrapper"), attribute(gil, io.get(), "FileIO"), {}};
  if (!types.text || !types.file) return false;
  write_of_file = PyObject_GetAttrString(types.file.get(), "write");
  if (write_of_file != nullptr) types.ours = make_type(gil, types.file.get());
  return types.ours && replace(gil, "stdout", types) && replace(gil, "stderr", types);
}

}  // namespace stint::embed
