#include "server/runtime_loader/subprocess_output.h"

#include "stint/unique_fd.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <optional>

extern char** environ;

namespace stint::runtime_loader {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t most_output = 1 << 20;

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("make a pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// 0 or the error number of the step that failed.
int spawn(pid_t& pid, const std::string& program, const std::vector<std::string>& arguments, int out, int err) {
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  if (int error = posix_spawn_file_actions_init(&actions); error != 0) return error;
  posix_spawnattr_t attributes;
  if (int error = posix_spawnattr_init(&attributes); error != 0) {
    posix_spawn_file_actions_destroy(&actions);
    return error;
  }
  // The worker may block or ignore signals by now; the program starts as if from a shell.
  sigset_t none, defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  for (int signal : {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD, SIGUSR1, SIGUSR2})
    sigaddset(&defaults, signal);
  int error = posix_spawnattr_setsigmask(&attributes, &none);
  if (error == 0) error = posix_spawnattr_setsigdefault(&attributes, &defaults);
  if (error == 0) error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  if (error == 0) error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  if (error == 0) error = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  if (error == 0) error = posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
  if (error == 0) error = posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

// Reads both pipes to their ends. False: the time is over, or the program prints without end.
bool read_all(UniqueFd out_end, UniqueFd err_end, SubprocessOutput& output, Clock::time_point deadline) {
  std::array<UniqueFd, 2> ends{std::move(out_end), std::move(err_end)};
  std::array<std::string*, 2> texts{&output.out, &output.err};
  while (ends[0].is_open() || ends[1].is_open()) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return false;
    std::array<pollfd, 2> polled{{{ends[0].get(), POLLIN, 0}, {ends[1].get(), POLLIN, 0}}};  // poll skips -1
    if (::poll(polled.data(), polled.size(), static_cast<int>(left.count())) < 0) continue;  // EINTR: look again
    for (std::size_t i = 0; i < ends.size(); ++i) {
      if (polled[i].revents == 0) continue;
      char piece[4096];
      ssize_t got = ::read(ends[i].get(), piece, sizeof piece);
      if (got > 0) {
        texts[i]->append(piece, static_cast<std::size_t>(got));
        if (texts[i]->size() > most_output) return false;
      } else if (got == 0 || errno != EINTR) {
        ends[i].reset();
      }
    }
  }
  return true;
}

// The child's status once it has ended; nullopt when it still runs at the deadline.
std::optional<int> wait_for(pid_t pid, Clock::time_point deadline) {
  while (true) {
    int status = 0;
    pid_t ended = ::waitpid(pid, &status, WNOHANG);
    if (ended == pid) return status;
    if (ended < 0 && errno != EINTR) return 0;  // somebody ignores SIGCHLD: its output has to tell
    if (Clock::now() >= deadline) return std::nullopt;
    ::poll(nullptr, 0, 1);  // it has closed its pipes and is about to end
  }
}

}  // namespace

Result<SubprocessOutput> output_of(const std::string& program, const std::vector<std::string>& arguments,
                                   std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  auto out = make_pipe();
  if (!out.has_value()) return out.error();
  auto err = make_pipe();
  if (!err.has_value()) return err.error();

  pid_t pid = -1;
  if (int error = spawn(pid, program, arguments, out->write_end.get(), err->write_end.get()); error != 0) {
    return system_error("run " + program, error);
  }
  out->write_end.reset();
  err->write_end.reset();

  SubprocessOutput output;
  std::optional<int> status;
  if (read_all(std::move(out->read_end), std::move(err->read_end), output, deadline)) status = wait_for(pid, deadline);
  if (!status) {
    ::kill(pid, SIGKILL);  // ours and not reaped yet, so the pid is still its own
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return error_because("run " + program + ": no answer within " + std::to_string(limit.count()) + "ms");
  }
  output.status = *status;
  return output;
}

}  // namespace stint::runtime_loader
