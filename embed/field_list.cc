#include "embed/field_list.h"

#include "embed/py_text.h"

namespace stint::embed {

bool read_field_list(const Gil& gil, const char* caller, PyObject* headers, std::vector<HeaderField>& fields) {
  if (!PyList_Check(headers)) {
    PyErr_Format(PyExc_TypeError, "%s: headers must be a list of (name, value) tuples, not %s", caller,
                 Py_TYPE(headers)->tp_name);
    return false;
  }
  fields.clear();
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(headers); ++i) {
    PyObject* pair = PyList_GET_ITEM(headers, i);
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
      PyErr_Format(PyExc_TypeError, "%s: headers[%zd] must be a (name, value) tuple, not %R", caller, i, pair);
      return false;
    }
    PyObject* name = PyTuple_GET_ITEM(pair, 0);
    PyObject* value = PyTuple_GET_ITEM(pair, 1);
    if (!PyUnicode_Check(name) || !PyUnicode_Check(value)) {
      PyErr_Format(PyExc_TypeError, "%s: headers[%zd] must be two str, not (%s, %s)", caller, i, Py_TYPE(name)->tp_name,
                   Py_TYPE(value)->tp_name);
      return false;
    }
    auto name_bytes = latin1_bytes(gil, name);
    auto value_bytes = latin1_bytes(gil, value);
    if (!name_bytes || !value_bytes) {
      PyErr_Format(PyExc_ValueError, "%s: headers[%zd] has characters above U+00FF: %A", caller, i, pair);
      return false;
    }
    fields.push_back({*name_bytes, *value_bytes});
  }
  return true;
}

}  // namespace stint::embed
