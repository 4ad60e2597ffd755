#include "embed/thread_probe.h"

#include "embed/py_error.h"

#include <csignal>

namespace stint::embed {
namespace {

// A handler can reach nothing but globals; written before there is one.
int probe_signal = 0;
void (*faulthandler_writes)(int) = nullptr;

// PyGILState_Check() says yes to everybody once there has been a subinterpreter.
bool holds_gil() {
#if PY_VERSION_HEX >= 0x030D0000
  const PyThreadState* const holder = PyThreadState_GetUnchecked();
#else
  const PyThreadState* const holder = _PyThreadState_UncheckedGet();
#endif
  return holder != nullptr && holder == PyGILState_GetThisThreadState();
}

void write_stack() { faulthandler_writes(probe_signal); }

}  // namespace

Result<ThreadProbe> make_thread_probe(const Gil& gil, int signal, int file) {
  const auto failed = [&] { return error_because("register with faulthandler: " + take_python_error(gil).summary); };
  const PyRef faulthandler = PyRef::steal(PyImport_ImportModule("faulthandler"));
  if (!faulthandler) return failed();
  // Of a worker that was in this process before: registering once more would not set the handler.
  const PyRef gone = PyRef::steal(PyObject_CallMethod(faulthandler.get(), "unregister", "i", signal));
  if (!gone) return failed();
  // register(signum, file, all_threads)
  const PyRef done = PyRef::steal(PyObject_CallMethod(faulthandler.get(), "register", "iiO", signal, file, Py_False));
  if (!done) return failed();
  struct sigaction action{};
  if (::sigaction(signal, nullptr, &action) != 0) return system_error("sigaction");
  probe_signal = signal;
  faulthandler_writes = action.sa_handler;
  return ThreadProbe{holds_gil, write_stack};
}

}  // namespace stint::embed
