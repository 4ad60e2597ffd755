// Exceptions that end a call which nobody wants any more (Application::interrupt). They are raised in the call's thread
// by PyThreadState_SetAsyncExc as soon as that runs Python code; what is inside of C code, a sleep for instance, ends
// that first.
//
// Always: the exception meets the call it is meant for or none. Who sets it holds the GIL and looks whether the call
// still runs the application's code; the call, which holds it when it leaves that code, takes back what has not been
// raised yet.
#pragma once

#include "embed/exchange.h"
#include "embed/gil.h"

#include "stint/application.h"
#include "stint/log.h"

#include <memory>
#include <vector>

namespace stint::embed {

struct InterruptibleCalls;

class Interruptions {
 public:
  // Both exception classes. False: a Python error is set.
  bool prepare(const Gil& gil);
  // What holds Python objects goes, while the GIL is held.
  void clear(const Gil& gil);

  // Any thread, without the GIL; returns at once. A thread of its own waits for the GIL, for as long as that takes.
  void interrupt(std::uint64_t call, Interruption why, Log& log);

  // The part of a call in which it may be interrupted.
  class Scope {
   public:
    Scope(const Gil&, Interruptions& all, std::uint64_t call, Exchange& exchange);
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope() { end(); }
    void end();  // while the GIL is held

   private:
    std::shared_ptr<InterruptibleCalls> calls_;
    Exchange& exchange_;
  };

 private:
  std::shared_ptr<InterruptibleCalls> calls_;
};

// The exception that is set is the interruption of this call.
bool is_interruption(const Gil& gil, const Exchange& exchange);

}  // namespace stint::embed
