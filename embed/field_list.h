// A list of (name, value) tuples, as PEP 3333 has header fields, seen as bytes.
#pragma once

#include "embed/gil.h"

#include "stint/request.h"

#include <vector>

namespace stint::embed {

// Fills `fields` with views into the strings of `headers`; they live as long as those. What they may contain is for the
// sink to say. False: a Python error is set, which begins with `caller` ("start_response").
bool read_field_list(const Gil& gil, const char* caller, PyObject* headers, std::vector<HeaderField>& fields);

}  // namespace stint::embed
