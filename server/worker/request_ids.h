// Request ids: 16 hexadecimal digits, a random start for each worker and counted from there, so that ids of different
// workers and restarts do not meet in one log.
#pragma once

#include <array>
#include <cstdint>
#include <random>

namespace stint::worker {

class RequestIds {
 public:
  RequestIds() {
    std::random_device random;
    next_ = static_cast<std::uint64_t>(random()) << 32 | random();
  }

  std::array<char, 16> next() {
    static constexpr char digits[] = "0123456789abcdef";
    std::array<char, 16> id;
    std::uint64_t value = next_++;
    for (std::size_t i = id.size(); i-- > 0; value >>= 4) id[i] = digits[value & 15];
    return id;
  }

 private:
  std::uint64_t next_ = 0;
};

}  // namespace stint::worker
