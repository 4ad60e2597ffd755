// wsgi.errors: a text stream into the log. A complete line is one line of the log, with the worker and the request it
// belongs to; what is not ended by "\n" waits for its end, flush() or the end of the call. Works from any thread and
// after the request, so an application may keep it. A line of more than 64 KiB is several lines of the log.
#pragma once

#include "embed/gil.h"

#include "stint/log.h"

namespace stint::embed {

// Once a process, before any other function here. False: a Python error is set.
bool ready_error_stream_type(const Gil& gil);

// A new stream; `request_id` is a str. Empty with a Python error set when memory is short. `log` outlives it.
PyRef make_error_stream(const Gil& gil, Log& log, unsigned worker, PyObject* request_id);

// When the call ends: logs a line that has not ended, without the GIL. The stream can still be written to.
void end_error_stream(const Gil& gil, PyObject* stream) noexcept;

}  // namespace stint::embed
