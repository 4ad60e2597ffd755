// What a thread is doing in Python, told by the thread itself from a signal's handler (ThreadProbe).
//
// The stack is written by CPython's faulthandler (documented: "only uses signal-safe functions"), which reads the
// frames of the thread that it runs in, whether that holds the GIL or not, and whatever C code it is inside of. It
// binds its handler to a signal and a file; we take the handler from the signal, so that ours can call it. Function
// names and lines of at most 100 calls, without source lines.
#pragma once

#include "embed/gil.h"

#include "stint/runtime.h"

namespace stint::embed {

// Error: faulthandler cannot be had.
Result<ThreadProbe> make_thread_probe(const Gil& gil, int signal, int file);

}  // namespace stint::embed
