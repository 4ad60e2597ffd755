// fork(2) of a process that is not ours to wait for: it becomes the supervisor's child, which alone watches and reaps
// workers, also after this zygote has died. Zygote's main thread.
//
//   zygote ──_Fork()──> go-between ──fork()──> worker
//     │ waits for it       │ ends at once        │ waits for that end: from then on the supervisor is its parent
//
// A process whose parent ends is given to the nearest ancestor that wants such (PR_SET_CHILD_SUBREAPER, prctl(2)): the
// supervisor says so before it starts a zygote, and there is nobody in between.
//
// Why not clone(2) with CLONE_PARENT, which would save the go-between, as for keepers: a keeper makes system calls
// only, a worker is a whole application. glibc keeps a copy of the thread's id, a list of robust mutexes and locks of
// its own, which only its own fork() puts right in the child (sysdeps/nptl/fork.c: the kernel stores the id by way of
// CLONE_CHILD_SETTID, __malloc_fork_*, fresetlockfiles, reclaim_stacks). After a raw clone raise(3), abort(3) and
// pthread_kill(3) to oneself signal the zygote's thread instead (ESRCH, or worse), and what libraries have registered
// with pthread_atfork(3), OpenBLAS's and OpenSSL's locks and our own (embed/fork_check.h, worker/forked_children.h), is
// not run at all. fork(3) takes no flags. The go-between is made by _Fork(3), which is fork without those handlers, so
// that they run once for each worker: before the fork in the go-between, after it in the worker.
//
// The price is a second copy of the page tables, about a millisecond for 50 MiB.
#pragma once

#include <sys/types.h>

namespace stint::zygote {

// In the worker: 0, when it has its lasting parent. In the zygote: more than 0, when that is done. -1: it was not
// possible, errno says why; there is no worker then. REQUIRES: one thread.
pid_t fork_orphan();

}  // namespace stint::zygote
