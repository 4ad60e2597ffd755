// What the worker's threads are doing, found out without the application's help: a thread is asked by a signal and
// writes its stack in the handler, so that one which is stuck in C code or holds the interpreter's lock for ever
// answers as well. With it, all other threads of the process are asked who of them holds that lock.
//
// Run by who has the lease. One thread is asked at a time; the loop goes on meanwhile. A thread does not answer that
// blocks the signal, sleeps uninterruptibly or has ended. The signal interrupts no system call that the kernel can
// restart (SA_RESTART, signal(7)), and Python restarts the others (PEP 475).
#pragma once

#include "server/worker/deadlines.h"
#include "server/worker/event_loop.h"
#include "stint/runtime.h"
#include "stint/unique_fd.h"

#include <sys/types.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace stint::worker {

struct ThreadTrace {
  pid_t thread = 0;
  bool has_answered = false;
  std::string stack;      // as the runtime writes it: "Stack (most recent call first):\n  File …"
  pid_t lock_holder = 0;  // who held the interpreter's lock at that moment; 0: nobody who answers
};

class Tracer final : private Watcher, private Timed {
 public:
  // Takes a real-time signal that nobody uses. One a process. Error: the runtime cannot tell stacks.
  static Result<std::unique_ptr<Tracer>> make(EventLoop& loop, Runtime& runtime);
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;
  ~Tracer() override;

  using Done = std::function<void(const ThreadTrace&)>;
  // Asks a thread of this process; `done` is called later, from the loop. What was asked before comes first.
  void trace(pid_t thread, Done done);
  bool is_idle() const { return questions_.empty(); }

 private:
  struct Question {
    pid_t thread;
    Done done;
  };

  Tracer(EventLoop& loop, UniqueFd stack, UniqueFd answers, int signal)
      : loop_(loop), stack_(std::move(stack)), answers_(std::move(answers)), signal_(signal) {
    loop_.add(patience_);
  }
  void ask_next();
  bool ask(pid_t thread) const;
  void on_ready(std::uint32_t events) override;
  void on_deadline() override { finish(); }
  void finish();
  std::string read_stack() const;

  EventLoop& loop_;
  UniqueFd stack_;    // a file of memory: never full, so that no handler waits
  UniqueFd answers_;  // an eventfd
  const int signal_;
  bool is_watched_ = false;
  DeadlineList patience_{std::chrono::milliseconds(500)};
  std::deque<Question> questions_;  // the first is being answered
  unsigned asked_ = 0;              // threads in this round
};

}  // namespace stint::worker
