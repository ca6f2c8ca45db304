#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace quartet::server {

/// How often a duration was met, in buckets that grow with it: linear within each power of two, as in HdrHistogram
/// (http://hdrhistogram.org). A duration is told apart from others to within 3 %. Nanoseconds, from 1 to about a minute;
/// shorter and longer ones count as these, so that a percentile is 0 only where nothing was measured, as in Redis.
class LatencyHistogram {
 public:
  void add(uint64_t nanoseconds) { add_to(bucket_of(nanoseconds)); }
  /// The same in two steps, for a duration that goes into several histograms.
  static size_t bucket_of(uint64_t nanoseconds);
  void add_to(size_t bucket) { ++counts_[bucket], ++total_; }
  uint64_t total() const { return total_; }

  /// The duration that `percent` of all do not exceed, rounded up to the end of its bucket. 0 where nothing was added.
  uint64_t percentile(double percent) const;

  /// Calls `visit(limit_ns, count)` for limits of 1024 ns and each further power of two, as long as not all durations are
  /// at or below the limit; `count` are those at or below it. Limits are rounded up as Redis rounds its own.
  template <class Visit>
  void for_each_power(Visit visit) const {
    uint64_t seen = 0;
    size_t at = 0;
    for (int power = kFirstPower; seen < total_; ++power) {
      const uint64_t limit = (uint64_t{1} << power) + (uint64_t{1} << (power - 7)) - 1;
      for (; at < kBuckets && lowest_of(at) <= limit; ++at) seen += counts_[at];
      visit(limit, seen);
    }
  }

 private:
  static constexpr int kSubBits = 5;
  static constexpr int kFirstPower = 10;
  static constexpr int kLastPower = 36;
  static constexpr size_t kBuckets = ((kLastPower - kSubBits + 1) << kSubBits) + (1 << kSubBits);

  /// The least duration of a bucket.
  static uint64_t lowest_of(size_t index);

  uint64_t total_ = 0;
  std::array<uint64_t, kBuckets> counts_{};
};

}  // namespace quartet::server
