#include "server/worker/output_queue.h"

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>

namespace stint::worker {

namespace {
// Up to here a copy (and one contiguous send) is cheaper than retaining the owner and releasing it later.
constexpr std::size_t copied_up_to = 16 * 1024;
// More than this is not kept for the next answer on an idle connection.
constexpr std::size_t kept_capacity = 4 * 1024;
}  // namespace

void OutputQueue::commit() {
  const std::uint64_t length = owned_.size() - committed_;
  if (length == 0) return;
  if (next_ < items_.size() && items_.back().kind == Item::Kind::owned) {
    items_.back().length += length;  // contiguous with the item before it
  } else {
    items_.push_back({.kind = Item::Kind::owned, .offset = committed_, .length = length});
  }
  committed_ = owned_.size();
  pending_ += length;
}

void OutputQueue::push(std::string_view bytes) {
  owned().append(bytes);
  commit();
}

void OutputQueue::push(const BodyChunk& chunk) {
  if (chunk.bytes.size() <= copied_up_to || chunk.owner == nullptr) return push(chunk.bytes);
  items_.push_back({.kind = Item::Kind::retained,
                    .length = chunk.bytes.size(),
                    .bytes = chunk.bytes.data(),
                    .owner = chunk.owner,
                    .release = chunk.release});
  chunk.retain(chunk.owner);
  pending_ += chunk.bytes.size();
}

void OutputQueue::push_file(UniqueFd file, std::uint64_t offset, std::uint64_t length) {
  items_.push_back({.kind = Item::Kind::file, .offset = offset, .length = length, .file = file.get()});
  static_cast<void>(file.release());
  pending_ += length;
}

void OutputQueue::finish(Item& item) {
  if (item.kind == Item::Kind::retained) item.release(item.owner);
  if (item.kind == Item::Kind::file) ::close(item.file);
}

void OutputQueue::took(std::uint64_t bytes) {
  sent_ += bytes;
  pending_ -= bytes;
  while (next_ < items_.size()) {
    Item& item = items_[next_];
    const std::uint64_t part = std::min(bytes, item.length);
    item.length -= part;
    item.offset += part;
    if (item.kind == Item::Kind::retained) item.bytes += part;
    bytes -= part;
    if (item.length > 0) return;
    finish(item);
    ++next_;
  }
}

Result<bool> OutputQueue::send_bytes(int socket, std::uint64_t most) {
  std::array<iovec, 64> parts;
  std::size_t count = 0;
  std::size_t item = next_;
  for (; item < items_.size() && items_[item].kind != Item::Kind::file && count < parts.size() && most > 0; ++item) {
    const char* bytes =
        items_[item].kind == Item::Kind::owned ? owned_.data() + items_[item].offset : items_[item].bytes;
    const std::uint64_t length = std::min(items_[item].length, most);
    parts[count++] = {const_cast<char*>(bytes), length};
    most -= length;
  }
  // A head goes into one segment with the file that follows it.
  const int more = item < items_.size() ? MSG_MORE : 0;
  ssize_t taken = 0;
  if (count == 1) {
    taken = ::send(socket, parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL | MSG_DONTWAIT | more);
  } else {
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    taken = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT | more);
  }
  if (taken >= 0) {
    took(static_cast<std::uint64_t>(taken));
    return true;
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
  if (errno == EINTR) return true;
  return system_error("send");
}

// What sendfile(2) says of its input; all else is of the connection.
static bool is_of_file(int error) {
  return error == EIO || error == EINVAL || error == ENOMEM || error == EOVERFLOW || error == ESTALE;
}

Result<bool> OutputQueue::send_file(int socket, std::uint64_t most) {
  Item& item = items_[next_];
  if (item.length == 0) {
    took(0);
    return true;
  }
  auto offset = static_cast<off_t>(item.offset);
  const ssize_t taken = ::sendfile(socket, item.file, &offset, std::min(item.length, most));
  if (taken > 0) {
    took(static_cast<std::uint64_t>(taken));
    return true;
  }
  if (taken < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
  if (taken < 0 && errno == EINTR) return true;
  has_file_failed_ = taken == 0 || is_of_file(errno);
  return taken == 0 ? error_because("a file became shorter while it was sent") : system_error("sendfile");
}

Result<bool> OutputQueue::send(int socket) {
  const std::uint64_t end = sent_ + sent_at_once;
  while (next_ < items_.size()) {
    if (sent_ >= end) return false;
    const std::uint64_t most = end - sent_;
    const Result<bool> went =
        items_[next_].kind == Item::Kind::file ? send_file(socket, most) : send_bytes(socket, most);
    if (!went.has_value()) return went.error();
    if (!*went) return false;
  }
  items_.clear();
  next_ = 0;
  owned_.clear();
  committed_ = 0;
  return true;
}

void OutputQueue::clear() {
  for (; next_ < items_.size(); ++next_) finish(items_[next_]);
  items_.clear();
  next_ = 0;
  owned_.clear();
  if (owned_.capacity() > kept_capacity) owned_.shrink_to_fit();
  committed_ = 0;
  has_file_failed_ = false;
  pending_ = 0;
  sent_ = 0;
}

}  // namespace stint::worker
