// Python's str and our bytes. WSGI's strings are "bytes as latin-1" (PEP 3333, "A Note On String Types"); what people
// read (log, errors) is UTF-8.
#pragma once

#include "embed/gil.h"

#include <optional>
#include <string>
#include <string_view>

namespace stint::embed {

// A new str of which each code point is one of the bytes; empty with a Python error when memory is short.
inline PyRef latin1(const Gil&, std::string_view bytes) {
  return PyRef::steal(PyUnicode_DecodeLatin1(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), nullptr));
}

// The bytes of a str as latin-1, valid as long as `text` lives; nullopt when it has code points above U+00FF.
// REQUIRES: PyUnicode_Check(text).
inline std::optional<std::string_view> latin1_bytes(const Gil&, PyObject* text) {
  if (PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND) return std::nullopt;
  return std::string_view(reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(text)),
                          static_cast<std::size_t>(PyUnicode_GET_LENGTH(text)));
}

// Any str as UTF-8; surrogates are escaped, so it never fails but for memory (then it is empty and no error is set).
std::string utf8(const Gil& gil, PyObject* text);

// As much of a UTF-8 text as has room in `limit` bytes; no character is cut.
std::string_view beginning(std::string_view text, std::size_t limit);

// utf8() of a text that may be of any size: beyond `limit` bytes its middle is left out, and a line says so instead.
// It needs little more memory than that, and leaves no Python error.
std::string shortened(const Gil& gil, PyObject* text, std::size_t limit);

// A str from a path or other text of the operating system, as Python decodes those.
inline PyRef os_text(const Gil&, const std::string& text) {
  return PyRef::steal(PyUnicode_DecodeFSDefaultAndSize(text.data(), static_cast<Py_ssize_t>(text.size())));
}

// An interned str for a dictionary's key.
inline PyRef interned(const Gil&, const char* text) { return PyRef::steal(PyUnicode_InternFromString(text)); }

}  // namespace stint::embed
