#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace quartet::load {

/// Counts latencies in microseconds: exact below 128, in buckets no wider than 1/64 of their value above. Adding costs
/// a few instructions and the size is fixed, whatever the latencies are.
class Latencies {
 public:
  void add(int64_t microseconds) {
    const auto value = static_cast<uint64_t>(std::clamp<int64_t>(microseconds, 0, kLargest));
    ++counts_[bucket(value)];
    ++total_;
    if (microseconds > largest_) largest_ = microseconds;
  }

  int64_t largest() const { return largest_; }

  /// The smallest latency that at least `share` (0 to 1) of all do not exceed, rounded up to its bucket's upper end.
  int64_t percentile(double share) const {
    const auto wanted = static_cast<uint64_t>(share * static_cast<double>(total_));
    uint64_t seen = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (seen > 0 && seen >= wanted) return upper_end(i);
    }
    return 0;
  }

 private:
  static constexpr int kSubBits = 6;
  static constexpr int64_t kLargest = (int64_t{1} << 36) - 1;  // 19 hours
  static constexpr size_t kBuckets = (36 - kSubBits + 1) << kSubBits;

  /// A value with its highest set bit at kSubBits + shift has its kSubBits next bits as the place in row `shift` + 1.
  static size_t bucket(uint64_t value) {
    const int shift = std::max(0, static_cast<int>(std::bit_width(value)) - 1 - kSubBits);
    return (static_cast<size_t>(shift) << kSubBits) + (value >> shift);
  }
  static int64_t upper_end(size_t bucket) {
    const size_t shift = bucket < (size_t{2} << kSubBits) ? 0 : (bucket >> kSubBits) - 1;
    const size_t mantissa = bucket - (shift << kSubBits);
    return static_cast<int64_t>(((mantissa + 1) << shift) - 1);
  }

  std::array<uint64_t, kBuckets> counts_{};
  uint64_t total_ = 0;
  int64_t largest_ = 0;
};

}  // namespace quartet::load
