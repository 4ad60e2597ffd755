// What a zygote (start = "fork") has Python do around the forks of its workers. In its main thread.
#pragma once

#include "embed/gil.h"

#include "stint/runtime.h"

#include <functional>
#include <vector>

namespace stint::embed {

// Closes Django's database connections, collects garbage, and freezes: a collection in a worker would otherwise write
// into every object that it still shares with the zygote, and so copy them all (gc.freeze, CPython 3.7). References
// count in the objects themselves, so a part of the memory is copied anyway as the application runs.
void settle_for_forks(const Gil& gil);

// Those that the threading module knows. Threads of C code, and of Python's _thread, are the kernel's alone to tell.
std::vector<NamedThread> named_threads(const Gil& gil);

// os.fork() with another way to fork: PyOS_BeforeFork runs os.register_at_fork's `before` and takes the import lock,
// PyOS_AfterFork_Child makes the GIL and the locks anew and runs `after_in_child` (among them random's, which seeds
// anew), PyOS_AfterFork_Parent `after_in_parent`. What a hook raises is printed and ignored, as by os.fork().
pid_t fork_with_hooks(const Gil& gil, const std::function<pid_t()>& fork);

}  // namespace stint::embed
