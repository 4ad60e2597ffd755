// CPython in this process: started once, as the interpreter of a virtual environment would start, and never finalized.
#pragma once

#include "stint/result.h"
#include "stint/runtime.h"

namespace stint::embed {

// Starts Python in this thread, which is its main thread from then on, with the application's directory as working
// directory and sys.path[0]. Settings of Python's own in the environment (PYTHONHASHSEED, PYTHONMALLOC, …) count.
// Afterwards nobody holds the GIL. Once a process.
Result<void> start_interpreter(const RuntimeOptions& options);

// What Py_FinalizeEx does for applications, without what it does to extension modules, many of which crash there:
// waits for the threads that are not daemons, calls atexit handlers, flushes stdout and stderr.
void shut_down_interpreter();

}  // namespace stint::embed
