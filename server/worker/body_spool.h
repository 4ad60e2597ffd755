// A request's body while it is collected, so that a slow client never holds the application. One that comes with its
// head stays in memory. One that comes in pieces is kept where another process can go on with it: up to 256 KiB in a
// file in memory (memfd_create(2)), beyond that in a file of the disk that has no name. One a connection, reused.
//
// Small pieces are written to the file together: a body may come in chunks of a byte, thousands of them in one read.
#pragma once

#include "stint/request.h"
#include "stint/result.h"
#include "stint/unique_fd.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace stint::worker {

class BodySpool {
 public:
  static constexpr std::size_t memory_most = 256 * 1024;

  // Error: the file cannot be made or written ("write a request body to /tmp: No space left on device").
  Result<void> append(std::string_view bytes);
  // Writes what append() has not written yet. body() and file() have all of it until the next append.
  Result<void> flush();
  // As flush(), and all of it is in file().
  Result<void> share();
  // Goes on with what another process has collected.
  Result<void> adopt(UniqueFd file);

  bool is_shared() const { return (file_.is_open() && memory_.empty()) || size_ == 0; }
  int file() const { return file_.get(); }
  // Valid until the next append or clear. REQUIRES: flushed.
  RequestBody body(bool is_present) const;
  void clear();

 private:
  Result<void> move_to(Result<UniqueFd> file);

  std::string memory_;  // all of it; with a file, what comes behind the file's
  UniqueFd file_;
  bool is_on_disk_ = false;
  std::uint64_t size_ = 0;
};

}  // namespace stint::worker
