#include "embed/py_text.h"

#include <new>

namespace stint::embed {
namespace {

// Whether a byte of UTF-8 goes on with a character that began before it.
bool is_within_character(char byte) { return (static_cast<unsigned char>(byte) & 0xc0U) == 0x80U; }

std::string_view ending(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return text;
  text.remove_prefix(text.size() - limit);
  while (!text.empty() && is_within_character(text.front())) text.remove_prefix(1);
  return text;
}

}  // namespace

std::string utf8(const Gil&, PyObject* text) {
  PyRef bytes = PyRef::steal(PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace"));
  if (!bytes) {
    PyErr_Clear();
    return {};
  }
  try {
    return {PyBytes_AS_STRING(bytes.get()), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.get()))};
  } catch (const std::bad_alloc&) {
    return {};
  }
}

std::string_view beginning(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && is_within_character(text[limit])) --limit;
  return text.substr(0, limit);
}

std::string shortened(const Gil& gil, PyObject* text, std::size_t limit) {
  const Py_ssize_t length = PyUnicode_GET_LENGTH(text);
  const std::size_t half = limit / 2;
  if (static_cast<std::size_t>(length) <= limit) {
    std::string whole = utf8(gil, text);
    if (whole.size() <= limit) return whole;
  }
  // A character has at least one byte, so that neither part needs more of them.
  const Py_ssize_t most = static_cast<Py_ssize_t>(half);
  PyRef first = PyRef::steal(PyUnicode_Substring(text, 0, most));
  PyRef last = first ? PyRef::steal(PyUnicode_Substring(text, length > most ? length - most : 0, length)) : PyRef();
  if (!last) {
    PyErr_Clear();
    return {};
  }
  return std::string(beginning(utf8(gil, first.get()), half))
      .append("\n[… the middle of these ")
      .append(std::to_string(length))
      .append(" characters is left out …]\n")
      .append(ending(utf8(gil, last.get()), half));
}

}  // namespace stint::embed
