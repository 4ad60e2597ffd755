// Where lines of a log go: a file, a pipe, a socket or a terminal; its own or the process's standard output or error.
// Several processes append to one, each with whole lines. A reader of a pipe or a socket that does not come along (a
// collector that hangs), or a disk that is full, never stops whoever writes: then lines are dropped and counted. A
// terminal that is stopped (Ctrl-S) stops its writers, as it does any program's.
//
// Run by one thread at a time.
#pragma once

#include "stint/result.h"
#include "stint/unique_fd.h"

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stint::logging {

// Opens the file for lines at its end, or makes it (mode 0640). Of a named pipe both ends: lines wait in it for a
// reader that has yet to come, or comes back. Never waits. A descriptor, or -1 with errno. Only system calls: also for
// a child that has just been forked.
int open_for_lines(const char* path);

class LogFile {
 public:
  // "-" and nothing else is `standard`, STDOUT_FILENO or STDERR_FILENO, which stays open. Makes missing folders.
  // Error: "open /var/log/stint/access.log: Permission denied".
  static Result<LogFile> open(const std::string& path, int standard);
  explicit LogFile(UniqueFd file) : LogFile(file.get()) { own_ = std::move(file); }

  // Writes whole lines, the last one ended as well. Waits at most `patience` for room, and after that not again for
  // half a minute. Returns how many lines were dropped, at the end; error() says why.
  std::uint64_t write(std::string_view lines, std::chrono::milliseconds patience = {});
  Error error() const;

 private:
  enum class Kind { file, pipe, socket };
  explicit LogFile(int file) : file_(file) {}
  Kind kind() const;
  ssize_t write_some(Kind kind, std::string_view bytes) const;
  bool may_wait(std::chrono::steady_clock::time_point began, std::chrono::milliseconds patience);
  bool awaits_room(std::chrono::steady_clock::time_point until) const;

  UniqueFd own_;
  int file_;
  bool is_cut_ = false;                                              // of the last line only a part was written
  std::optional<std::chrono::steady_clock::time_point> waited_for_;  // the beginning of the last write that waited
  int error_ = 0;
};

}  // namespace stint::logging
