// How a worker gets at Python: asks the virtual environment's own interpreter which libpython it is, opens that one,
// and then the embed module made for its version. Two builds of Python mixed in one process start without complaint and
// fail in strange ways later, so what does not fit is refused here. Runs in the worker's main thread, before anything
// serves.
#pragma once

#include "stint/result.h"
#include "stint/runtime.h"

#include <string>

namespace stint::runtime_loader {

struct PythonIdentity {
  std::string version;       // "3.11.2"
  std::string minor;         // "3.11"
  std::string full_version;  // sys.version, the text of Py_GetVersion() of the same build
  std::string libpython;     // path of the shared library
  std::string executable;    // "/srv/site/.venv/bin/python"
};

// Runs the interpreter of the virtual environment `venv`, or when that is empty the Python that Stint was built with;
// at most ten seconds. Errors are sentences for the operator that say what to do.
Result<PythonIdentity> ask_python(const std::string& venv);

struct LoadedRuntime {
  const RuntimeModule* module = nullptr;  // valid until the process ends
  std::string path;                       // of the embed module
};

// Maps libpython and the embed module into this process for good: neither can be unloaded safely. Once a process.
Result<LoadedRuntime> open_runtime(const PythonIdentity& python);

}  // namespace stint::runtime_loader
