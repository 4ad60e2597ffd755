/* Preloaded by a story into the program of an upgrade: in the role `resume` it gets no anonymous file, as where there are
   no descriptors left. In all others, and in all other programs, nothing is different. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_resuming;

/* At the start: later the process has a title in its command line's place. */
__attribute__((constructor)) static void look_at_command_line(void) {
  char line[4096];
  int file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  ssize_t size = file < 0 ? 0 : read(file, line, sizeof line);
  if (file >= 0) close(file);
  is_resuming = size > 0 && memmem(line, (size_t)size, "\0resume\0", 8) != NULL;
}

int memfd_create(const char* name, unsigned flags) {
  if (is_resuming) {
    errno = EMFILE;
    return -1;
  }
  return (int)syscall(SYS_memfd_create, name, flags);
}
