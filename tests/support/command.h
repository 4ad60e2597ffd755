// A program started by a test: its output in files, its end waited for, and killed with the test at the latest.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace stint::test {

// A socket that the program gets as a service manager would hand it down (sd_listen_fds(3)); it stays the test's own.
struct PassedSocket {
  std::string name;
  int fd = -1;
};

struct CommandLine {
  std::vector<std::string> arguments;    // the program first
  std::vector<std::string> environment;  // "NAME=value", beside PATH and HOME of the test
  std::filesystem::path working_directory;
  std::filesystem::path output;  // files
  std::filesystem::path error;
  std::vector<PassedSocket> sockets;
};

// The child leads a session of its own, by which its processes are found, and dies with the thread that started it, so
// that a test killed by its time limit leaves no server.
pid_t start(const CommandLine& command);

// Exit code, or 128 + signal; nullopt: still running after `limit`.
std::optional<int> wait_for_exit(pid_t pid, std::chrono::milliseconds limit);

struct CommandResult {
  int exit_code = -1;
  std::string output;
  std::string error;
};
// Runs to its end; killed and exit_code -1 when that takes longer than `patience`.
CommandResult run(std::vector<std::string> arguments, std::vector<std::string> environment = {},
                  const std::filesystem::path& working_directory = "/tmp");

std::string stint_binary();  // the one built beside the tests

}  // namespace stint::test
