// Another program in this process: a newer Stint goes on where this one stops, with the same pid, sockets, inbox and
// workers. Supervisor's thread.
//
//   serving ──SIGUSR2, `stint upgrade`──> rehearsing ──it says that it can──> exec ──> the new program adopts all,
//      ^                                       │                               │       then reloads
//      ├── fails, is late, a reload or a stop ─┘                               │
//      └──────────────── exec fails, or the new program hands the process back ┘
//
// What is handed over is the UpgradeState, in a sealed anonymous file; the descriptors it names stay open under their
// numbers. In the rehearsal the new program does in a child what it will have to do here, and changes nothing: reads
// the state, the settings, and the memory shared with workers. All its answers count, also that it cannot be started.
//
// The program that is replaced stays open as a file. Should the new one find after all that it cannot go on, it
// executes that, with the reason; then the old program serves on as before.
//
// Safety:   until exec has succeeded nothing has changed; no client ever notices, since workers go on meanwhile.
//           Signals that come during the change wait for the program that runs after it.
// Progress: a rehearsal ends within its limit.
#pragma once

#include "server/supervisor/upgrade_state.h"
#include "stint/result.h"
#include "stint/unique_fd.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace stint::supervisor {

// How this program was started, and will be again.
struct Program {
  std::string file;                // absolute; links not followed, since an upgrade may have switched one
  std::vector<std::string> words;  // of the command line: "serve", …
};

// The file that started this process as `name` (argv[0], looked up in PATH), or, where that is another one by now, what
// the kernel says.
std::string file_of_this_program(const std::string& name);

// What a program that has rehearsed well writes last.
std::string rehearsed_text(std::string_view version);

class Rehearsal {
 public:
  // `done` is called once, from the loop: with the version of the new program, or with why it cannot take over.
  static Result<std::unique_ptr<Rehearsal>> start(boost::asio::io_context& io, const Program& program,
                                                  const UpgradeState& state, Duration limit,
                                                  std::function<void(Result<std::string> version)> done);
  ~Rehearsal();  // ends the child
  Rehearsal(const Rehearsal&) = delete;
  Rehearsal& operator=(const Rehearsal&) = delete;

  pid_t pid() const { return pid_; }

 private:
  Rehearsal(boost::asio::io_context& io, pid_t pid, UniqueFd pidfd, UniqueFd output, std::string file,
            std::function<void(Result<std::string>)> done);
  void wait(Duration limit);
  void on_end();
  Result<std::string> verdict(int wait_status);

  const pid_t pid_;
  UniqueFd pidfd_;
  UniqueFd output_;
  const std::string file_;
  std::function<void(Result<std::string>)> done_;
  boost::asio::posix::stream_descriptor exit_watch_;  // of pidfd_, which it does not own
  boost::asio::steady_timer limit_;
  bool is_late_ = false;
  const std::shared_ptr<bool> is_there_ = std::make_shared<bool>(true);  // for handlers that may come after it has gone
};

// Executes `program` in this process. Returns only when that failed, with everything as before. REQUIRES: signals are
// held.
Error replace_this_program(const Program& program, const UpgradeState& state);

// In the program that was started by replace_this_program() and cannot go on: gives the process back to the former one.
// Returns only when that failed. `descriptors`: those of the state, if it could be read.
Error go_back(int former_program, int state_file, const std::vector<int>& descriptors, const std::string& why,
              const Program& program);

// What the rehearsal and the start after it have in common: whether the state can be adopted by this program. Looks at
// descriptors and shared memory; takes nothing over.
Result<void> check_adoption(const UpgradeState& state);

// From now on the descriptors are closed by exec again.
void close_at_exec(const std::vector<int>& descriptors);

}  // namespace stint::supervisor
