#include "embed/gil.h"

namespace stint::embed {
namespace {

// This thread's Python state. Ends with the thread, which is when threading.local lets go of what it holds.
struct ThreadRegistration {
  PyThreadState* state = nullptr;
  bool is_main = false;

  ~ThreadRegistration() {
    if (state == nullptr || is_main) return;  // the main thread's state belongs to the interpreter
    PyEval_RestoreThread(state);
    PyThreadState_Clear(state);
    PyThreadState_DeleteCurrent();
  }
};

thread_local ThreadRegistration registration;

}  // namespace

Gil acquire_gil() {
  if (registration.state != nullptr) {
    PyEval_RestoreThread(registration.state);
  } else {
    PyGILState_Ensure();  // never released: that keeps the state for the life of the thread
    registration.state = PyThreadState_Get();
  }
  return Gil(true);
}

void adopt_main_thread() {
  registration.is_main = true;
  registration.state = PyEval_SaveThread();
}

}  // namespace stint::embed
