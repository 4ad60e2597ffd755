#include "server/worker/body_spool.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <cstdlib>

namespace stint::worker {

namespace {

// A smaller piece waits until there is so much.
constexpr std::size_t written_at_once = 16 * 1024;

std::string temporary_folder() {
  const char* folder = std::getenv("TMPDIR");
  return folder != nullptr && *folder != '\0' ? folder : "/tmp";
}

Result<UniqueFd> open_unnamed_file(const std::string& folder) {
  UniqueFd file(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file.is_open()) return file;
  // File systems without O_TMPFILE (some overlays): a name for a moment.
  std::string name = folder + "/stint-body-XXXXXX";
  file.reset(::mkostemp(name.data(), O_CLOEXEC));
  if (!file.is_open()) return system_error("make a file for a request body in " + folder);
  if (::unlink(name.c_str()) < 0) return system_error("unlink " + name);
  return file;
}

Result<void> write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error("write a request body to " + temporary_folder());
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<UniqueFd> open_memory_file() {
  UniqueFd file(::memfd_create("stint-body", MFD_CLOEXEC));
  if (!file.is_open()) return system_error("make a file in memory for a request body");
  return file;
}

}  // namespace

// What there is goes into the new file: from memory_ or from the file before.
Result<void> BodySpool::move_to(Result<UniqueFd> file) {
  if (!file.has_value()) return file.error();
  if (file_.is_open()) {
    memory_.resize(size_);
    if (::pread(file_.get(), memory_.data(), size_, 0) != static_cast<ssize_t>(size_)) {
      return system_error("read a request body back");
    }
  }
  if (const Result<void> written = write_all(file->get(), memory_); !written.has_value()) return written.error();
  file_ = std::move(*file);
  memory_ = {};
  return {};
}

Result<void> BodySpool::append(std::string_view bytes) {
  if (!is_on_disk_ && size_ + bytes.size() > memory_most) {
    if (const Result<void> flushed = flush(); !flushed.has_value()) return flushed;
    if (const Result<void> moved = move_to(open_unnamed_file(temporary_folder())); !moved.has_value())
      return moved.error();
    is_on_disk_ = true;
  }
  size_ += bytes.size();
  if (file_.is_open() && memory_.size() + bytes.size() >= written_at_once) {
    if (const Result<void> flushed = flush(); !flushed.has_value()) return flushed;
    return write_all(file_.get(), bytes);
  }
  memory_.append(bytes);
  return {};
}

Result<void> BodySpool::flush() {
  if (!file_.is_open() || memory_.empty()) return {};
  const Result<void> written = write_all(file_.get(), memory_);
  memory_ = {};
  return written;
}

Result<void> BodySpool::share() {
  if (const Result<void> flushed = flush(); !flushed.has_value()) return flushed;
  if (is_shared()) return {};
  return move_to(open_memory_file());
}

Result<void> BodySpool::adopt(UniqueFd file) {
  const off_t end = ::lseek(file.get(), 0, SEEK_END);
  if (end < 0) return system_error("look at a request body handed over");
  file_ = std::move(file);
  size_ = static_cast<std::uint64_t>(end);
  is_on_disk_ = size_ > memory_most;
  return {};
}

RequestBody BodySpool::body(bool is_present) const {
  return {.memory = memory_, .file = file_.get(), .size = size_, .is_present = is_present};
}

void BodySpool::clear() {
  if (size_ == 0 && !file_.is_open()) return;
  memory_.clear();
  if (memory_.capacity() > 4096) memory_.shrink_to_fit();
  file_.reset();
  is_on_disk_ = false;
  size_ = 0;
}

}  // namespace stint::worker
