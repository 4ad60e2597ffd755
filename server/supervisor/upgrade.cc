#include "server/supervisor/upgrade.h"

#include "server/control/connection_table.h"
#include "server/control/sealed_text.h"
#include "server/control/signals_blocked.h"
#include "server/control/status_page.h"
#include "server/control/wire_text.h"
#include "server/supervisor/descriptor_limit.h"
#include "server/supervisor/launch.h"
#include "server/supervisor/signal_names.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <utility>

namespace stint::supervisor {

namespace {

namespace process = boost::process::v2;
using boost::asio::posix::stream_descriptor;
using boost::system::error_code;

constexpr std::string_view rehearsed = "rehearsed ";
constexpr std::size_t most_output = 4096;  // of a rehearsal: it has one line to say, or what went wrong

error_code last_error() { return {errno, boost::system::system_category()}; }

// argv[0], by which the new program will find the next; the words; and how this program was started.
std::vector<std::string> command_line(std::vector<std::string> words, const Program& program) {
  words.insert(words.begin(), program.file);
  words.insert(words.end(), program.words.begin(), program.words.end());
  return words;
}

// Only system calls: the rehearsal's child calls it as well.
bool keep_at_exec(const std::vector<int>& descriptors) {
  return std::all_of(descriptors.begin(), descriptors.end(), [](int fd) { return ::fcntl(fd, F_SETFD, 0) == 0; });
}

Result<UniqueFd> write_state(const UpgradeState& state) {
  return control::seal_text("stint-state", encode(state), "keep the state for the new program");
}

// The rehearsal's child: its own output, the descriptors of the state, and nothing else of ours.
class RehearsalSetup {
 public:
  RehearsalSetup(std::vector<int> kept, int input, int output, const std::vector<const char*>& arguments)
      : kept_(std::move(kept)), input_(input), output_(output), arguments_(arguments) {}

  template <class Launcher>
  error_code on_setup(Launcher& launcher, const process::filesystem::path&, const char* const*(&arguments)) {
    for (const int fd : kept_) launcher.fd_whitelist.push_back(fd);
    launcher.env = ::environ;
    arguments = arguments_.data();
    return {};
  }

  template <class Launcher>
  error_code on_exec_setup(Launcher&, const process::filesystem::path&, const char* const*(&)) {
    if (::setpgid(0, 0) != 0) return last_error();
    for (const auto& [from, to] : {std::pair{input_, STDIN_FILENO}, {output_, STDOUT_FILENO}, {output_, STDERR_FILENO}})
      if (::dup2(from, to) < 0) return last_error();
    if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) != 0) return last_error();
    if (!keep_at_exec(kept_)) return last_error();
    // What is no Stint may write without end.
    const rlimit output{most_output, most_output};
    if (::setrlimit(RLIMIT_FSIZE, &output) != 0) return last_error();
    control::reset_signals();
    return {};
  }

  template <class... Anything>
  void on_exec_error(Anything&&...) {
    ::_exit(127);
  }

 private:
  const std::vector<int> kept_;
  const int input_;
  const int output_;
  const std::vector<const char*>& arguments_;
};

// Printable, in one line.
std::string one_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  return control::wire_text(text, most_output);
}

// Empty when it is not complete.
std::string last_line(const std::string& text) {
  if (!text.ends_with('\n')) return {};
  const std::size_t before = text.rfind('\n', text.size() - 2);
  const std::size_t begin = text.size() < 2 || before == text.npos ? 0 : before + 1;
  return text.substr(begin, text.size() - 1 - begin);
}

bool is_this_program(const std::string& file) {
  struct stat named{};
  struct stat own{};
  return ::stat(file.c_str(), &named) == 0 && ::stat("/proc/self/exe", &own) == 0 && named.st_dev == own.st_dev &&
         named.st_ino == own.st_ino;
}

std::string absolute(const std::string& file) {
  std::error_code unknown;
  const auto path = std::filesystem::absolute(file, unknown);
  return unknown ? file : path.lexically_normal().string();
}

}  // namespace

std::string file_of_this_program(const std::string& name) {
  if (name.find('/') != std::string::npos && is_this_program(name)) return absolute(name);
  const char* variable = std::getenv("PATH");
  const std::string folders = variable == nullptr ? "" : variable;
  for (std::size_t at = 0; name.find('/') == std::string::npos && at < folders.size();) {
    const std::size_t colon = std::min(folders.find(':', at), folders.size());
    const std::string file = folders.substr(at, colon - at) + "/" + name;
    if (is_this_program(file)) return absolute(file);
    at = colon + 1;
  }
  std::error_code unknown;
  std::string file = std::filesystem::read_symlink("/proc/self/exe", unknown).string();
  // As the kernel writes it when the file has been replaced (proc_pid_exe(5)): the new one has the name.
  if (constexpr std::string_view gone = " (deleted)"; file.ends_with(gone)) file.resize(file.size() - gone.size());
  return file;
}

std::string rehearsed_text(std::string_view version) { return std::string(rehearsed).append(version).append("\n"); }

Result<std::unique_ptr<Rehearsal>> Rehearsal::start(boost::asio::io_context& io, const Program& program,
                                                    const UpgradeState& state, Duration limit,
                                                    std::function<void(Result<std::string>)> done) {
  const std::string doing = "start " + program.file;
  auto state_file = write_state(state);
  if (!state_file) return state_file.error();
  UniqueFd output(::memfd_create("stint-rehearsal", MFD_CLOEXEC));
  const UniqueFd input(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!output.is_open() || !input.is_open()) return system_error(doing);
  std::vector<int> kept = descriptors_of(state);
  kept.push_back(state_file->get());
  const auto words = command_line({"rehearse", std::to_string(state_file->get())}, program);
  const auto arguments = pointers_to(words);

  error_code code;
  auto child = launch(io, code, program.file, RehearsalSetup(std::move(kept), input.get(), output.get(), arguments));
  if (code) return system_error(doing, code.value());
  std::unique_ptr<Rehearsal> rehearsal(
      new Rehearsal(io, child.pid, std::move(child.pidfd), std::move(output), program.file, std::move(done)));
  rehearsal->wait(limit);
  return rehearsal;
}

Rehearsal::Rehearsal(boost::asio::io_context& io, pid_t pid, UniqueFd pidfd, UniqueFd output, std::string file,
                     std::function<void(Result<std::string>)> done)
    : pid_(pid),
      pidfd_(std::move(pidfd)),
      output_(std::move(output)),
      file_(std::move(file)),
      done_(std::move(done)),
      exit_watch_(io, pidfd_.get()),
      limit_(io) {}

Rehearsal::~Rehearsal() {
  *is_there_ = false;
  exit_watch_.release();
  if (!pidfd_.is_open()) return;
  ::kill(-pid_, SIGKILL);  // not reaped, so the number is its own
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Rehearsal::wait(Duration limit) {
  // What is due already can be cancelled no more: both may be in one round of the loop.
  exit_watch_.async_wait(stream_descriptor::wait_read, [this, is_there = is_there_](const error_code& code) {
    if (!code && *is_there) on_end();
  });
  limit_.expires_after(limit);
  limit_.async_wait([this, is_there = is_there_](const error_code& code) {
    if (code || !*is_there || !pidfd_.is_open()) return;
    is_late_ = true;
    ::kill(-pid_, SIGKILL);
  });
}

void Rehearsal::on_end() {
  limit_.cancel();
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  exit_watch_.release();
  pidfd_.reset();
  const auto done = std::move(done_);
  done(verdict(status));  // which may destroy this
}

Result<std::string> Rehearsal::verdict(int status) {
  std::string said(most_output, '\0');
  const ssize_t size = ::pread(output_.get(), said.data(), said.size(), 0);
  said.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  if (is_late_) return error_because(file_ + " does not say in time that it can take over");
  if (WIFSIGNALED(status)) return error_because(file_ + " was ended by " + signal_name(WTERMSIG(status)));
  const std::string words = one_line(said);
  if (WEXITSTATUS(status) != 0)
    return error_because(file_ + " exited with code " + std::to_string(WEXITSTATUS(status)) +
                         (words.empty() ? "" : ": " + words));
  // Before it the dynamic loader may have had something to say.
  const std::string line = last_line(said);
  if (!line.starts_with(rehearsed)) return error_because(file_ + " is no Stint that can take over: it said " + words);
  return line.substr(rehearsed.size());
}

Error replace_this_program(const Program& program, const UpgradeState& state) {
  const auto state_file = write_state(state);
  if (!state_file) return state_file.error();
  const UniqueFd former(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  if (!former.is_open()) return system_error("open this program");
  std::vector<int> kept = descriptors_of(state);
  kept.insert(kept.end(), {state_file->get(), former.get()});
  const auto words = command_line({"resume", std::to_string(state_file->get()), std::to_string(former.get())}, program);
  const auto arguments = pointers_to(words);

  // Whatever else is open, be it a library's, ends here.
  if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0 && keep_at_exec(kept) &&
      restore_descriptor_limit() == 0)
    ::execve(program.file.c_str(), const_cast<char* const*>(arguments.data()), ::environ);
  auto error = system_error("execute " + program.file);
  raise_descriptor_limit();
  close_at_exec(kept);
  return error;
}

Error go_back(int former_program, int state_file, const std::vector<int>& descriptors, const std::string& why,
              const Program& program) {
  const auto words = command_line({"return", std::to_string(state_file), one_line(why)}, program);
  const auto arguments = pointers_to(words);
  if (keep_at_exec(descriptors) && keep_at_exec({state_file}) && ::fcntl(former_program, F_SETFD, FD_CLOEXEC) == 0 &&
      restore_descriptor_limit() == 0)
    ::execveat(former_program, "", const_cast<char* const*>(arguments.data()), ::environ, AT_EMPTY_PATH);
  return system_error("execute the former program");
}

Result<void> check_adoption(const UpgradeState& state) {
  if (state.formats != own_formats())
    return error_because("its workers could not share memory and connections with those of version " + state.version +
                         ", which go on during an upgrade: restart the server instead");
  for (const int fd : descriptors_of(state))
    if (::fcntl(fd, F_GETFD) < 0) return system_error("take over descriptor " + std::to_string(fd));
  for (const WorkerUnderUpgrade& worker : state.pool.workers) {
    if (worker.record.slot == 0 || worker.pid <= 0)
      return error_because("take over a worker: it has no place or no pid");
    if (auto page = control::StatusPage::map(worker.status_page); !page) return page.error();
    if (auto table = control::ConnectionTableView::map(worker.connection_table); !table) return table.error();
  }
  return {};
}

void close_at_exec(const std::vector<int>& descriptors) {
  for (const int fd : descriptors) ::fcntl(fd, F_SETFD, FD_CLOEXEC);  // fails only for what is not open
}

}  // namespace stint::supervisor
