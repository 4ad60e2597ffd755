// Request ids: the one that a trusted proxy gave, or 16 hexadecimal digits: a random start for each worker and counted
// from there, so that ids of different workers and restarts do not meet in one log.
#pragma once

#include "server/control/connection_table.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <string_view>

namespace stint::worker {

class RequestId {
 public:
  RequestId() = default;
  // What is longer than a shared slot has room for is cut.
  explicit RequestId(std::string_view text) : size_(std::min(text.size(), bytes_.size())) {
    std::copy_n(text.data(), size_, bytes_.data());
  }
  std::string_view view() const { return {bytes_.data(), size_}; }

 private:
  control::RequestIdText bytes_{};
  std::size_t size_ = 0;
};

class RequestIds {
 public:
  RequestIds() {
    std::random_device random;
    next_ = static_cast<std::uint64_t>(random()) << 32 | random();
  }

  RequestId next() {
    static constexpr char digits[] = "0123456789abcdef";
    char id[16];
    std::uint64_t value = next_++;
    for (std::size_t i = sizeof id; i-- > 0; value >>= 4) id[i] = digits[value & 15];
    return RequestId({id, sizeof id});
  }

 private:
  std::uint64_t next_ = 0;
};

}  // namespace stint::worker
