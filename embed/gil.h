// The GIL as an object: a function that touches Python asks for `const Gil&`, the proof that its thread holds it.
//
// A thread keeps one Python thread state from its first acquire_gil() to its end. PyGILState_Ensure/Release would make
// and throw away one each time, and with it what applications keep in threading.local (database connections).
#pragma once

#include "embed/py_ref.h"

namespace stint::embed {

class Gil {
 public:
  Gil(const Gil&) = delete;
  Gil& operator=(const Gil&) = delete;
  ~Gil() {
    if (is_ours_) PyEval_SaveThread();
  }

 private:
  explicit Gil(bool is_ours) : is_ours_(is_ours) {}
  bool is_ours_;  // false: whoever called us holds it longer than we live

  friend Gil acquire_gil();
  friend Gil gil_of_caller();
};

// Waits for the GIL and holds it while the object lives. REQUIRES: this thread does not hold it yet.
[[nodiscard]] Gil acquire_gil();

// In a function that CPython called: the caller holds the GIL.
[[nodiscard]] inline Gil gil_of_caller() { return Gil(false); }

// The thread that started the interpreter holds the GIL by a state of its own; acquire_gil() goes on with that one.
// Gives the GIL away.
void adopt_main_thread();

// Gives the GIL away while the object lives, for anything that can wait.
class GilReleased {
 public:
  explicit GilReleased(const Gil&) : state_(PyEval_SaveThread()) {}
  GilReleased(const GilReleased&) = delete;
  GilReleased& operator=(const GilReleased&) = delete;
  ~GilReleased() { PyEval_RestoreThread(state_); }

 private:
  PyThreadState* state_;
};

}  // namespace stint::embed
