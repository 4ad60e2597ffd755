#include "server/supervisor/source_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <filesystem>

namespace stint::supervisor {

namespace fs = std::filesystem;

namespace {

// No application of one's own has more; somebody's whole home folder has.
constexpr std::size_t most_folders = 4096;
constexpr std::uint32_t interesting = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR;

bool is_environment(const std::string& folder) {
  std::error_code ignored;
  return fs::exists(folder + "/pyvenv.cfg", ignored);
}

}  // namespace

bool is_left_out(std::string_view folder_name) {
  return folder_name.starts_with('.') || folder_name == "__pycache__" || folder_name == "node_modules";
}

Result<std::unique_ptr<SourceWatch>> SourceWatch::make(boost::asio::io_context& io, const std::string& folder,
                                                       const std::string& settings_file,
                                                       std::function<void()> on_change) {
  UniqueFd inotify(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!inotify.is_open()) return system_error("watch " + folder);
  std::unique_ptr<SourceWatch> made(new SourceWatch(io, std::move(inotify), settings_file, std::move(on_change)));
  made->watch(folder);
  if (made->folders_.empty()) return system_error("watch " + folder);
  if (!settings_file.empty()) {
    const std::string place = fs::path(settings_file).parent_path().string();
    const int id = ::inotify_add_watch(made->inotify_.get(), place.c_str(), interesting);
    if (id >= 0) made->folders_.emplace(id, place);
    made->settings_folder_ = id;
  }
  made->wait();
  return made;
}

SourceWatch::SourceWatch(boost::asio::io_context& io, UniqueFd inotify, const std::string& settings_file,
                         std::function<void()> on_change)
    : inotify_(std::move(inotify)),
      events_(io, inotify_.get()),
      quiet_(io),
      settings_name_(fs::path(settings_file).filename().string()),
      on_change_(std::move(on_change)) {}

SourceWatch::~SourceWatch() {
  *is_there_ = false;
  events_.release();
}

// With all that is below. A folder that goes away meanwhile is no error.
void SourceWatch::watch(const std::string& folder) {
  if (folders_.size() >= most_folders) {
    is_incomplete_ = true;
    return;
  }
  const int id = ::inotify_add_watch(inotify_.get(), folder.c_str(), interesting);
  if (id < 0) {
    is_incomplete_ = is_incomplete_ || errno == ENOSPC;
    return;
  }
  folders_[id] = folder;
  std::error_code failed;
  for (fs::directory_iterator entry(folder, fs::directory_options::skip_permission_denied, failed), end;
       !failed && entry != end; entry.increment(failed)) {
    std::error_code unknown;
    if (!entry->is_directory(unknown) || entry->is_symlink(unknown)) continue;
    const std::string below = entry->path().string();
    if (!is_left_out(entry->path().filename().string()) && !is_environment(below)) watch(below);
  }
}

bool SourceWatch::counts(int folder, std::string_view name) const {
  return name.ends_with(".py") || (folder == settings_folder_ && name == settings_name_);
}

void SourceWatch::wait() {
  events_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                     [this, is_there = is_there_](const boost::system::error_code& code) {
                       if (code || !*is_there) return;
                       read_events();
                       wait();
                     });
}

void SourceWatch::read_events() {
  alignas(inotify_event) std::array<char, 16384> buffer;
  bool has_changed = false;
  for (ssize_t got = 0; (got = ::read(inotify_.get(), buffer.data(), buffer.size())) > 0;) {
    for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      at += sizeof *event + event->len;
      if ((event->mask & IN_Q_OVERFLOW) != 0) has_changed = true;  // who knows what
      const auto known = folders_.find(event->wd);
      if (known == folders_.end()) continue;
      if ((event->mask & IN_IGNORED) != 0) {
        folders_.erase(known);
        continue;
      }
      const std::string_view name = event->len > 0 ? std::string_view(event->name) : std::string_view();
      const std::string folder = known->second;
      if ((event->mask & IN_ISDIR) == 0) {
        has_changed = has_changed || ((event->mask & IN_CREATE) == 0 && counts(event->wd, name));
      } else if ((event->mask & (IN_CREATE | IN_MOVED_TO)) != 0 && !is_left_out(name)) {
        watch(folder + "/" + std::string(name));
        has_changed = true;  // it may have come with files in it
      }
    }
  }
  if (!has_changed) return;
  quiet_.expires_after(quiet_time);
  quiet_.async_wait([this, is_there = is_there_](const boost::system::error_code& code) {
    if (!code && *is_there) on_change_();
  });
}

}  // namespace stint::supervisor
