#include "tests/support/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace stint::test {

std::size_t LatencyHistogram::bucket_of(std::uint64_t value) {
  if (value < per_doubling) return value;
  const auto shift = static_cast<std::size_t>(std::bit_width(value)) - std::bit_width(per_doubling);
  return std::min((shift + 1) * per_doubling + (value >> shift) - per_doubling, per_doubling * doublings - 1);
}

std::uint64_t LatencyHistogram::lower_bound_of(std::size_t bucket) {
  if (bucket < per_doubling) return bucket;
  const std::size_t shift = bucket / per_doubling - 1;
  return (per_doubling + bucket % per_doubling) << shift;
}

void LatencyHistogram::add(std::chrono::microseconds value) {
  const auto microseconds = static_cast<std::uint64_t>(std::max<long>(value.count(), 0));
  ++buckets_[bucket_of(microseconds)];
  ++count_;
  largest_ = std::max(largest_, microseconds);
}

void LatencyHistogram::add(const LatencyHistogram& other) {
  for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  largest_ = std::max(largest_, other.largest_);
}

std::chrono::microseconds LatencyHistogram::at(double share) const {
  if (share >= 1) return std::chrono::microseconds(largest_);
  const auto wanted = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(share * count_)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (count_ > 0 && seen >= wanted) return std::chrono::microseconds(std::min(lower_bound_of(i), largest_));
  }
  return std::chrono::microseconds(0);
}

std::map<std::uint64_t, std::uint64_t> LatencyHistogram::counts() const {
  std::map<std::uint64_t, std::uint64_t> counts;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    if (buckets_[i] > 0) counts[lower_bound_of(i)] = buckets_[i];
  }
  return counts;
}

}  // namespace stint::test
