// Tells when the application's own sources change (reload.watch; inotify(7)). Supervisor's thread. Names alone are
// looked at, never what is in a file.
//
// What counts: files named *.py below app.directory, and the settings file. What does not, by rule: templates, static
// files and everything else that is read for each request anyway; folders that begin with a dot, __pycache__,
// node_modules, and virtual environments (they have a pyvenv.cfg). An editor writes a file in several steps, and a
// checkout many files: the handler is called once, when nothing has changed for a moment.
#pragma once

#include "stint/result.h"
#include "stint/unique_fd.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace stint::supervisor {

class SourceWatch {
 public:
  static constexpr std::chrono::milliseconds quiet_time{100};

  // `settings_file` may be empty. `on_change` is called in the loop. Errors: no inotify instance is left, or the folder
  // cannot be watched.
  static Result<std::unique_ptr<SourceWatch>> make(boost::asio::io_context& io, const std::string& folder,
                                                   const std::string& settings_file, std::function<void()> on_change);
  SourceWatch(const SourceWatch&) = delete;
  SourceWatch& operator=(const SourceWatch&) = delete;
  ~SourceWatch();

  std::size_t folders() const { return folders_.size(); }
  // Folders were left out because there were too many, or the kernel's limit was reached (inotify(7)).
  bool is_incomplete() const { return is_incomplete_; }

 private:
  SourceWatch(boost::asio::io_context& io, UniqueFd inotify, const std::string& settings_file,
              std::function<void()> on_change);
  void watch(const std::string& folder);
  void wait();
  void read_events();
  bool counts(int folder, std::string_view name) const;

  UniqueFd inotify_;
  boost::asio::posix::stream_descriptor events_;  // of inotify_, which it does not own
  boost::asio::steady_timer quiet_;
  const std::string settings_name_;
  const std::function<void()> on_change_;
  std::map<int, std::string> folders_;  // by watch descriptor
  int settings_folder_ = -1;            // of these, whatever it is called
  bool is_incomplete_ = false;
  const std::shared_ptr<bool> is_there_ = std::make_shared<bool>(true);  // for handlers that may come after it has gone
};

// Whether changes below a folder of that name are of no interest.
bool is_left_out(std::string_view folder_name);

}  // namespace stint::supervisor
