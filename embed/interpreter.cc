#include "embed/interpreter.h"

#include "embed/early_hints.h"
#include "embed/error_stream.h"
#include "embed/file_wrapper.h"
#include "embed/fork_check.h"
#include "embed/input_stream.h"
#include "embed/py_error.h"
#include "embed/py_text.h"
#include "embed/standard_streams.h"
#include "embed/start_response.h"

#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <string>

namespace stint::embed {
namespace {

// Owns what PyConfig allocates.
struct Config {
  PyConfig values;
  Config() { PyConfig_InitPythonConfig(&values); }
  Config(const Config&) = delete;
  Config& operator=(const Config&) = delete;
  ~Config() { PyConfig_Clear(&values); }
};

Error as_error(const PyStatus& status) {
  std::string text = "start Python";
  if (PyStatus_IsExit(status) != 0) return error_because(text + ": it wants to exit");
  if (status.func != nullptr) text += std::string(": ") + status.func;
  return error_because(text + ": " + (status.err_msg != nullptr ? status.err_msg : "unknown error"));
}

Error python_error(const Gil& gil, const std::string& doing) {
  return error_because(doing + ": " + take_python_error(gil).summary);
}

// The configuration of a regular `python`, so that what its users expect of the environment holds, but for what belongs
// to the worker (signals, arguments) or would keep output back (buffers).
Result<void> initialize(const RuntimeOptions& options) {
  Config config;
  config.values.parse_argv = 0;
  config.values.install_signal_handlers = 0;
  config.values.buffered_stdio = 0;

  // sys.argv is [name], as if a script of the module's name ran without arguments.
  std::string name = options.app->module.substr(0, options.app->module.find(':'));
  char* argv[] = {name.data()};
  PyStatus status = PyConfig_SetBytesArgv(&config.values, 1, argv);
  if (PyStatus_Exception(status) == 0 && !options.python.empty()) {
    // From the program's path CPython finds pyvenv.cfg, and so the environment's prefix and site-packages.
    status = PyConfig_SetBytesString(&config.values, &config.values.program_name, options.python.c_str());
    if (PyStatus_Exception(status) == 0) {
      status = PyConfig_SetBytesString(&config.values, &config.values.executable, options.python.c_str());
    }
  }
  if (PyStatus_Exception(status) == 0) status = Py_InitializeFromConfig(&config.values);
  if (PyStatus_Exception(status) != 0) return as_error(status);
  return {};
}

Result<void> ready(const Gil& gil, const std::string& directory) {
  PyObject* path = PySys_GetObject("path");  // lent
  PyRef first = os_text(gil, directory);
  if (path == nullptr || !first || PyList_Insert(path, 0, first.get()) != 0) return python_error(gil, "set sys.path");

  // threading takes the thread that imports it first for the main thread.
  PyRef threading = PyRef::steal(PyImport_ImportModule("threading"));
  if (!threading) return python_error(gil, "import threading");
  if (!ready_start_response_types(gil) || !ready_input_stream_type(gil) || !ready_error_stream_type(gil) ||
      !ready_file_wrapper_type(gil) || !ready_early_hints_type(gil)) {
    return python_error(gil, "make the types of WSGI");
  }
  if (!ready_standard_streams(gil)) return python_error(gil, "make sys.stdout and sys.stderr");
  return {};
}

// Calls a function of the standard library; what it raises is printed and ignored: the process is about to end.
void call_at_exit(const Gil&, const char* module_name, const char* function) {
  PyRef module = PyRef::steal(PyImport_ImportModule(module_name));
  PyRef done;
  if (module) done = PyRef::steal(PyObject_CallMethod(module.get(), function, nullptr));
  if (!done) PyErr_WriteUnraisable(module.get());
}

Error cannot_enter(const std::string& directory) {
  Error error = system_error("enter app.directory " + directory);
  if (error.code.value() != EACCES) return error;
  return error_because(error.text() + "; the workers' user (uid " + std::to_string(::geteuid()) +
                       ") has to be able to enter it and every folder above");
}

}  // namespace

Result<void> start_interpreter(const RuntimeOptions& options) {
  const std::string& directory = options.app->directory;
  if (::chdir(directory.c_str()) != 0) return cannot_enter(directory);
  // Where a deploy switches a link, this worker goes on importing from the folder that it started with.
  std::error_code unknown;
  const std::string place = std::filesystem::current_path(unknown).string();
  if (unknown) return Error{unknown, "find out where app.directory " + directory + " leads"};
  // Python's own handler set-up, which is left out, would do it: its sockets expect EPIPE, not the signal.
  std::signal(SIGPIPE, SIG_IGN);
  auto initialized = initialize(options);
  if (!initialized.has_value()) return initialized.error();
  watch_forks();
  const Gil gil = gil_of_caller();
  auto readied = ready(gil, place);
  adopt_main_thread();
  return readied;
}

void shut_down_interpreter() {
  const Gil gil = acquire_gil();
  const unsigned forks_before = forks_so_far();
  call_at_exit(gil, "threading", "_shutdown");
  call_at_exit(gil, "atexit", "_run_exitfuncs");
  leave_if_forked(gil, forks_before);
  flush_python_stdio(gil);
}

}  // namespace stint::embed
