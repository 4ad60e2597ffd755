// Bytes on their way to one client: owned bytes (heads, chunk framing, small bodies), bodies somebody else owns, and
// parts of files, in order. Knows nothing of HTTP. One a connection, reused.
#pragma once

#include "stint/response_sink.h"
#include "stint/result.h"
#include "stint/unique_fd.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stint::worker {

class OutputQueue {
 public:
  OutputQueue() = default;
  OutputQueue(const OutputQueue&) = delete;
  OutputQueue& operator=(const OutputQueue&) = delete;
  ~OutputQueue() { clear(); }

  // Where a head or framing is written: append to the string, then commit() what was appended. All of these throw
  // std::bad_alloc and leave the queue as it was; what was not committed has gone at the next.
  std::string& owned() {
    owned_.resize(committed_);
    return owned_;
  }
  void commit();
  void push(std::string_view bytes);  // copies
  void push(const BodyChunk& chunk);  // copies small ones, retains large ones
  void push_file(UniqueFd file, std::uint64_t offset, std::uint64_t length);

  // The most that one send() gives away: a client that reads as fast as we send does not keep the thread from others.
  static constexpr std::uint64_t sent_at_once = 2 * 1024 * 1024;
  // Gives the kernel what it takes without waiting. True: all is gone; false: wait until the socket can be written,
  // which may be at once, and send again. Error: the client is gone, or a file became shorter than promised.
  Result<bool> send(int socket);
  // The last error was the file's, and no client has left for it.
  bool has_file_failed() const { return has_file_failed_; }

  bool is_empty() const { return next_ == items_.size(); }
  std::uint64_t pending() const { return pending_; }  // bytes not yet given to the kernel
  std::uint64_t sent() const { return sent_; }        // since clear(); progress for write time-outs
  void clear();                                       // also releases what is still retained

 private:
  struct Item {
    enum class Kind { owned, retained, file } kind = Kind::owned;
    std::uint64_t offset = 0;  // into owned_, or of the file
    std::uint64_t length = 0;  // not yet sent
    const char* bytes = nullptr;
    void* owner = nullptr;
    void (*release)(void*) = nullptr;
    int file = -1;
  };

  Result<bool> send_bytes(int socket, std::uint64_t most);
  Result<bool> send_file(int socket, std::uint64_t most);
  void took(std::uint64_t bytes);
  static void finish(Item& item);

  std::string owned_;
  std::size_t committed_ = 0;
  std::vector<Item> items_;
  std::size_t next_ = 0;
  std::uint64_t pending_ = 0;
  std::uint64_t sent_ = 0;
  bool has_file_failed_ = false;
};

}  // namespace stint::worker
