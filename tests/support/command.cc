#include "tests/support/command.h"

#include "tests/support/eventually.h"
#include "tests/support/temporary_folder.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <system_error>

namespace stint::test {
namespace {

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

pid_t start(const CommandLine& command) {
  std::vector<std::string> arguments = command.arguments;
  std::vector<std::string> environment = command.environment;
  // Locale is left out on purpose: a bare machine has none.
  for (const char* name : {"PATH", "HOME", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"}) {
    if (const char* value = std::getenv(name)) environment.push_back(std::string(name) + "=" + value);
  }
  // The pid is known only in the child, which may not allocate: it is written over these NULs.
  constexpr std::string_view listen_pid = "LISTEN_PID=";
  char* own_pid = nullptr;
  if (!command.sockets.empty()) {
    std::string names;
    for (const PassedSocket& socket : command.sockets) names.append(names.empty() ? "" : ":").append(socket.name);
    environment.push_back("LISTEN_FDS=" + std::to_string(command.sockets.size()));
    environment.push_back("LISTEN_FDNAMES=" + names);
    environment.push_back(std::string(listen_pid) + std::string(20, '\0'));
    own_pid = environment.back().data() + listen_pid.size();
  }
  std::vector<int> sockets;
  for (const PassedSocket& socket : command.sockets) sockets.push_back(socket.fd);
  const int first_free = 3 + static_cast<int>(sockets.size());
  const auto argument_pointers = pointers_to(arguments);
  const auto environment_pointers = pointers_to(environment);
  const std::string output = command.output, error = command.error, directory = command.working_directory;

  const pid_t pid = fork();
  if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid > 0) return pid;

  // Only async-signal-safe calls from here on: the test may have threads.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setsid();
  const int in = open("/dev/null", O_RDONLY);
  const int out = open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  const int err = open(error.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (in < 0 || out < 0 || err < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) _exit(126);
  // First out of the way, then into place.
  for (int& fd : sockets)
    if ((fd = fcntl(fd, F_DUPFD, first_free)) < 0) _exit(126);
  for (int target = 3; const int fd : sockets)
    if (dup2(fd, target++) < 0) _exit(126);
  close_range(static_cast<unsigned>(first_free), ~0u, 0);
  if (own_pid != nullptr) std::to_chars(own_pid, own_pid + 19, getpid());
  if (chdir(directory.c_str()) != 0) _exit(126);
  execve(argument_pointers[0], argument_pointers.data(), environment_pointers.data());
  _exit(127);
}

std::optional<int> wait_for_exit(pid_t pid, std::chrono::milliseconds limit) {
  int status = 0;
  const bool has_ended = eventually(limit, [&] { return waitpid(pid, &status, WNOHANG) == pid; });
  if (!has_ended) return std::nullopt;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

CommandResult run(std::vector<std::string> arguments, std::vector<std::string> environment,
                  const std::filesystem::path& working_directory) {
  const TemporaryFolder folder;
  const pid_t pid = start(
      {std::move(arguments), std::move(environment), working_directory, folder.file("output"), folder.file("error")});
  CommandResult result;
  if (const auto code = wait_for_exit(pid, patience)) {
    result.exit_code = *code;
  } else {
    kill(pid, SIGKILL);
    wait_for_exit(pid, patience);
  }
  result.output = read_file(folder.file("output"));
  result.error = read_file(folder.file("error"));
  return result;
}

std::string stint_binary() { return STINT_BINARY_DIR "/stint"; }

}  // namespace stint::test
