// Durations counted in buckets 1.6 % wide, so that hours of load take no memory and reports of several clients add up.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>

namespace stint::test {

class LatencyHistogram {
 public:
  void add(std::chrono::microseconds value);
  void add(const LatencyHistogram& other);

  // The duration that `share` of all do not exceed; zero when there is none. `at(1)` is exact.
  std::chrono::microseconds at(double share) const;
  std::map<std::uint64_t, std::uint64_t> counts() const;  // by the bucket's lower bound in microseconds

 private:
  // Values below 64 have a bucket each; above, each doubling has 64.
  static constexpr std::size_t per_doubling = 64;
  static constexpr std::size_t doublings = 34;
  static std::size_t bucket_of(std::uint64_t value);
  static std::uint64_t lower_bound_of(std::size_t bucket);

  std::array<std::uint64_t, per_doubling * doublings> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t largest_ = 0;
};

}  // namespace stint::test
