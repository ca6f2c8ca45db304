#include "server/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace quartet::server {

size_t LatencyHistogram::bucket_of(uint64_t nanoseconds) {
  if (nanoseconds < (1 << kSubBits)) return std::max<size_t>(1, static_cast<size_t>(nanoseconds));
  const int shift = std::bit_width(nanoseconds) - 1 - kSubBits;
  // The first power after the linear part begins at 1 << kSubBits, and each takes as many buckets.
  const size_t index = (static_cast<size_t>(shift) << kSubBits) + static_cast<size_t>(nanoseconds >> shift);
  return std::min(index, kBuckets - 1);
}

uint64_t LatencyHistogram::lowest_of(size_t index) {
  if (index < (2 << kSubBits)) return index;
  const size_t shift = (index >> kSubBits) - 1;
  return static_cast<uint64_t>(index - (shift << kSubBits)) << shift;
}

uint64_t LatencyHistogram::percentile(double percent) const {
  const auto wanted = std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(static_cast<double>(total_) * percent / 100)));
  uint64_t seen = 0;
  for (size_t at = 0; at < kBuckets; ++at) {
    seen += counts_[at];
    if (seen >= wanted) return lowest_of(at + 1) - 1;
  }
  return 0;
}

}  // namespace quartet::server
