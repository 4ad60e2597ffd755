#include "server/supervisor/spawner.h"

#include "server/control/inheritance.h"
#include "server/control/sealed_text.h"
#include "server/control/signals_blocked.h"
#include "server/control/zygote_inheritance.h"
#include "server/supervisor/descriptor_limit.h"
#include "server/supervisor/launch.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

namespace stint::supervisor {

namespace {

namespace process = boost::process::v2;
using boost::system::error_code;

error_code last_error() { return {errno, boost::system::system_category()}; }

// What Boost.Process does for us between fork and exec. Its own initializer for descriptors has no return statement in
// 1.81, and its closing of the others leaves gaps open; both are done here. Only system calls in the child.
class WorkerSetup {
 public:
  WorkerSetup(std::vector<int> inherited, int standard_input, const std::vector<const char*>& arguments,
              const std::vector<const char*>& environment, const WorkerRights& rights)
      : inherited_(std::move(inherited)),
        standard_input_(standard_input),
        arguments_(arguments),
        environment_(environment),
        rights_(rights) {}

  template <class Launcher>
  error_code on_setup(Launcher& launcher, const process::filesystem::path&, const char* const*(&arguments)) {
    for (int target = control::first_inherited_fd; target < end(); ++target) launcher.fd_whitelist.push_back(target);
    launcher.env = environment_.data();
    arguments = arguments_.data();
    return {};
  }

  template <class Launcher>
  error_code on_exec_setup(Launcher&, const process::filesystem::path&, const char* const*(&)) {
    // A group of its own: Ctrl-C in a terminal then reaches the supervisor only, which tells the workers.
    if (::setpgid(0, 0) != 0) return last_error();
    // As a background group a worker would be stopped when it read from the terminal.
    if (::dup2(standard_input_, STDIN_FILENO) < 0) return last_error();

    // First out of the way, then into place: a source may have the number of another's target.
    for (int& fd : inherited_)
      if ((fd = ::fcntl(fd, F_DUPFD_CLOEXEC, end())) < 0) return last_error();
    int target = control::first_inherited_fd;
    for (const int fd : inherited_)
      if (::dup2(fd, target++) < 0) return last_error();
    if (::syscall(SYS_close_range, static_cast<unsigned>(end()), ~0U, CLOSE_RANGE_CLOEXEC) != 0) return last_error();

    control::reset_signals();
    if (const int failed = restore_descriptor_limit(); failed != 0) return {failed, boost::system::system_category()};
    // Last, because nothing above needs less than what we are. The launcher tells the parent what it finds in errno.
    errno = take_up(rights_);
    return errno == 0 ? error_code() : last_error();
  }

  // In the child, when exec has failed and the parent knows. The launcher would call exit(), and with it our atexit
  // handlers. Takes anything because the launcher's test and its call differ in their arguments.
  template <class... Anything>
  void on_exec_error(Anything&&...) {
    ::_exit(127);
  }

 private:
  int end() const { return control::first_inherited_fd + static_cast<int>(inherited_.size()); }

  std::vector<int> inherited_;
  const int standard_input_;
  const std::vector<const char*>& arguments_;
  const std::vector<const char*>& environment_;
  const WorkerRights& rights_;
};

}  // namespace

Spawner::Spawner(boost::asio::io_context& io, const std::vector<net::Listener>& listeners,
                 const control::InboxEnds& inbox, const AppSettings& app, std::uint32_t connections,
                 std::string executable)
    : io_(io),
      listeners_(listeners),
      inbox_(inbox),
      connections_(connections),
      executable_(std::move(executable)),
      rights_(rights_of(app)) {
  const std::map<std::string, std::string> environment = environment_of(app);
  for (char** entry = ::environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!environment.contains(text.substr(0, text.find('=')))) environment_.push_back(text);
  }
  for (const auto& [name, value] : environment) environment_.push_back(name + "=" + value);
}

Result<void> Spawner::prepare(const std::string& settings_toml) {
  if (auto handed_down = hand_down(settings_toml); !handed_down) return handed_down;
  null_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null_.is_open()) return system_error("open /dev/null");
  return hold_low_descriptors();
}

Result<void> Spawner::hand_down(const std::string& settings_toml) {
  auto settings = control::seal_text("stint-settings", settings_toml, "keep the settings for the workers");
  if (!settings) return settings.error();
  settings_ = std::move(*settings);
  return {};
}

// The launcher tells of a failed exec through a pipe whose number we do not know in the child. So that this can never
// be a number that a worker's descriptors are put on, all of those are in use here; at each start, because others of
// ours come and go there.
Result<void> Spawner::hold_low_descriptors() {
  const int end = control::first_listener_fd + static_cast<int>(listeners_.size());
  for (int fd = control::first_inherited_fd; fd < end; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    UniqueFd lowest(::fcntl(null_.get(), F_DUPFD_CLOEXEC, fd));
    if (!lowest.is_open()) return system_error("hold descriptor " + std::to_string(fd));
    held_.push_back(std::move(lowest));
  }
  return {};
}

Result<Spawner::Beginning> Spawner::begin_worker() const {
  auto ends = control::Channel::make_pair();
  if (!ends) return ends.error();
  auto page_file = control::make_status_page();
  if (!page_file) return page_file.error();
  auto page = control::StatusPage::map(page_file->get());
  if (!page) return page.error();
  auto table_file = control::make_connection_table(connections_);
  if (!table_file) return table_file.error();
  auto table = control::ConnectionTableView::map(table_file->get());
  if (!table) return table.error();
  return Beginning{{.pid = -1,
                    .pidfd = UniqueFd(),
                    .channel = std::move(ends->first),
                    .status_page = std::move(*page),
                    .connections = std::move(*table),
                    .status_page_file = std::move(*page_file),
                    .connection_table_file = std::move(*table_file)},
                   ends->second.release()};
}

// Opened anew, because a descriptor that is only passed on shares its position with those of the other workers.
Result<UniqueFd> Spawner::settings_to_inherit(const std::string& doing) const {
  UniqueFd settings(::open(("/proc/self/fd/" + std::to_string(settings_.get())).c_str(), O_RDONLY | O_CLOEXEC));
  if (!settings.is_open()) return system_error(doing);
  return settings;
}

Result<StartedWorker> Spawner::start(unsigned slot, unsigned generation) {
  const std::string doing = "start worker " + std::to_string(slot);
  auto beginning = begin_worker();
  if (!beginning) return beginning.error();
  auto settings = settings_to_inherit(doing);
  if (!settings) return settings.error();
  StartedWorker& worker = beginning->worker;
  std::vector<int> inherited{beginning->channel_end.get(),       settings->get(),  worker.status_page_file.get(),
                             worker.connection_table_file.get(), inbox_.put.get(), inbox_.take.get(),
                             inbox_.idle_workers.get()};
  for (const net::Listener& listener : listeners_) inherited.push_back(listener.socket.get());
  auto process = execute(control::worker_arguments(slot, generation, static_cast<unsigned>(listeners_.size())),
                         std::move(inherited), doing);
  if (!process) return process.error();
  worker.pid = process->pid;
  worker.pidfd = std::move(process->pidfd);
  return std::move(worker);
}

Result<StartedZygote> Spawner::start_zygote(unsigned generation) {
  const std::string doing = "start a zygote";
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return system_error(doing);
  auto ends = control::Channel::make_pair();
  if (!ends) return ends.error();
  auto settings = settings_to_inherit(doing);
  if (!settings) return settings.error();
  auto process = execute(control::zygote_arguments(generation), {ends->second.fd(), settings->get()}, doing);
  if (!process) return process.error();
  return StartedZygote{process->pid, std::move(process->pidfd), std::move(ends->first)};
}

Result<StartedWorker> Spawner::fork(control::Channel& zygote, unsigned slot, Duration startup_timeout) {
  auto beginning = begin_worker();
  if (!beginning) return beginning.error();
  StartedWorker& worker = beginning->worker;
  if (auto asked = worker.channel.ask_for_senders(); !asked) return asked.error();
  std::vector<int> listeners;
  for (const net::Listener& listener : listeners_) listeners.push_back(listener.socket.get());
  const std::vector<int> descriptors =
      control::descriptors_for_fork(beginning->channel_end.get(), worker.status_page_file.get(),
                                    worker.connection_table_file.get(), inbox_, listeners);
  const control::Fork order{slot, static_cast<unsigned>(listeners.size()), startup_timeout};
  if (auto sent = zygote.send(order, descriptors); !sent) return sent.error();
  return std::move(worker);
}

Result<LaunchedProcess> Spawner::execute(const std::vector<std::string>& own_arguments, std::vector<int> inherited,
                                         const std::string& doing) {
  std::vector<std::string> argument_texts{"stint"};
  argument_texts.insert(argument_texts.end(), own_arguments.begin(), own_arguments.end());
  const auto arguments = pointers_to(argument_texts);
  const auto environment = pointers_to(environment_);
  if (auto held = hold_low_descriptors(); !held) return held.error();

  error_code code;
  auto process =
      launch(io_, code, executable_, WorkerSetup(std::move(inherited), null_.get(), arguments, environment, rights_));
  if (code) return error_of(code.value(), rights_, doing);
  return process;
}

bool Spawner::is_transient(const Error& error) {
  switch (error.code.value()) {
    case EAGAIN:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
      return true;
    default:
      return false;
  }
}

}  // namespace stint::supervisor
