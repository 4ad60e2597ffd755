// A request's body while it is collected, so that a slow client never holds the application: in memory up to 256 KiB,
// beyond that in a file that has no name and goes with its descriptor. One a connection, reused.
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
  // Valid until the next append or clear.
  RequestBody body(bool is_present) const;
  void clear();

 private:
  Result<void> move_to_file();

  std::string memory_;
  UniqueFd file_;
  std::uint64_t size_ = 0;
};

}  // namespace stint::worker
