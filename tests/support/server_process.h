// The real `stint serve` for a story: in a folder of its own, on ports the kernel chooses, with its own control
// socket, so that stories run side by side. Whatever the story does, its destructor leaves no process behind.
#pragma once

#include "tests/support/command.h"
#include "tests/support/temporary_folder.h"

#include <boost/json/fwd.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stint::test {

std::string apps_folder();  // tests/apps/stories

// What STINT_TEST_SET in the environment, "KEY=VALUE", sets for every server of this run: the same stories with other
// settings. nullopt: not this key. What a story sets itself stays.
std::optional<std::string> set_for_this_run(std::string_view key);

struct ServerOptions {
  std::string program;                           // empty: the one that was built
  std::string module = "story_app:application";  // empty: no such argument
  unsigned workers = 1;
  std::vector<std::pair<std::string, std::string>> set;  // --set key=value, values in TOML syntax
  std::string toml;                                      // text of a -c FILE; empty: none
  std::vector<std::string> listen = {"127.0.0.1:0"};     // "unix:NAME" is put into the story's folder, "unix:/…" not
  std::string directory = apps_folder();
  std::vector<std::string> environment;
  std::vector<std::string> words;     // more of the command line
  std::vector<std::string> wrapper;   // starts the server with a program of its own, which pid() and signal() then mean
  std::vector<PassedSocket> sockets;  // for "systemd" and "systemd:NAME" in `listen`
};

class ServerProcess {
 public:
  // Starts it in `folder` (made when null, for stories that need files before the start) and returns at once.
  explicit ServerProcess(ServerOptions options, std::unique_ptr<TemporaryFolder> folder = nullptr);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // Both fail the test, with the log, when that does not come.
  void wait_until_serving();
  void wait_until_ready();  // as `stint status` says: all its workers

  pid_t pid() const { return pid_; }
  bool is_running() const { return !exit_code_.has_value(); }
  const std::string& address(std::size_t listener = 0) const;  // "127.0.0.1:41234"; REQUIRES: wait_until_serving()
  const TemporaryFolder& folder() const { return *folder_; }
  std::string control_socket() const { return folder_->file("control.sock"); }
  std::string log() const;     // standard error so far
  std::string output() const;  // standard output so far
  std::size_t log_count(std::string_view text) const;

  void signal(int number) const;
  std::optional<int> wait_for_exit(std::chrono::milliseconds limit);  // see command.h
  std::vector<pid_t> processes() const;                               // supervisor and all that came from it

  CommandResult command(std::vector<std::string> arguments) const;  // "status", … with --socket
  boost::json::object status() const;  // `stint status --json`; empty when that failed; include boost/json/value.hpp
  struct WorkerRow {
    unsigned slot = 0;
    pid_t pid = 0;
    pid_t keeper = 0;
    std::string state;
  };
  std::vector<WorkerRow> workers() const;      // from status()
  std::vector<pid_t> ready_workers() const;    // pids, sorted
  bool wait_for_ready_workers(std::size_t n);  // exactly n workers, all ready

  // Ends the server with SIGTERM when it still runs. Then: exit code 0, no process of it left, no socket file, and
  // nothing in its log that only a bug of ours writes.
  void expect_clean_exit();
  void expect_nothing_left();  // the same without the exit code

 private:
  ServerOptions options_;
  std::unique_ptr<TemporaryFolder> folder_;
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
  std::vector<std::string> addresses_;
};

}  // namespace stint::test
