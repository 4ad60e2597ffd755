// os.fork() inside the application: the child has a copy of everything of ours, the connection and its half-written
// answer included, and the worker's channel to its supervisor. Should it come back to us, from a call, from the import
// or from what runs at the worker's end, it must end without touching them (WSGI.md 57).
#pragma once

#include "embed/gil.h"

namespace stint::embed {

// Registers the handler that counts; once a process.
void watch_forks();

// How many forks lie between this process and the one that called watch_forks(). It changes under a running call only
// in a child that the application forked; a count, not a flag, because workers may be forked from a zygote.
unsigned forks_so_far();

// Ends a forked child: flushes Python's stdout and stderr and leaves by _exit, so that neither atexit handlers nor
// destructors of the worker run. The status is SystemExit's when that is the exception set, 1 for another one, else 0.
[[noreturn]] void leave_forked_child(const Gil& gil) noexcept;

inline void leave_if_forked(const Gil& gil, unsigned forks_before) {
  if (forks_so_far() != forks_before) leave_forked_child(gil);
}

// sys.stdout and sys.stderr; errors are ignored: there is nowhere left to tell them.
void flush_python_stdio(const Gil& gil);

}  // namespace stint::embed
