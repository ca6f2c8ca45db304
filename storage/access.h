#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"
#include "base/random.h"

namespace quartet::storage {

/// What an entry's 24 bits of access mean under the other policies, and what OBJECT IDLETIME reads: the second of the
/// last access.
struct LruAccess {
  static uint32_t clock(const Time& now) { return static_cast<uint32_t>(now.wall_us / 1'000'000) & 0xffffff; }
  /// Seconds since the last access; 194 days are 0 again.
  static uint32_t idle(uint32_t access, const Time& now) { return (clock(now) - access) & 0xffffff; }
};

/// What an entry's 24 bits of access mean under an LFU policy, as Redis documents it for `maxmemory-policy`: the minute
/// of the last change of the counter in the upper 16, and in the lower 8 a counter that grows ever more slowly
/// (`lfu-log-factor`) and loses one every `lfu-decay-time` minutes.
struct LfuAccess {
  static constexpr uint32_t kNewCounter = 5;

  static uint32_t minutes(const Time& now) { return static_cast<uint32_t>(now.wall_us / 60'000'000) & 0xffff; }
  static uint32_t fresh(const Time& now) { return minutes(now) << 8 | kNewCounter; }

  /// Minutes since the last access; 45 days are 0 again.
  static uint32_t idle(uint32_t access, const Time& now) { return (minutes(now) - (access >> 8)) & 0xffff; }

  /// The counter as of now.
  static uint32_t counter(uint32_t access, const Time& now, int64_t decay_time) {
    const uint32_t value = access & 0xff;
    if (decay_time == 0) return value;
    const auto periods = static_cast<uint32_t>(idle(access, now) / decay_time);
    return value - std::min(value, periods);
  }

  static uint32_t touched(uint32_t access, const Time& now, Random& random, int64_t log_factor, int64_t decay_time) {
    uint32_t value = counter(access, now, decay_time);
    const uint64_t above = value > kNewCounter ? value - kNewCounter : 0;
    if (value < 255 && random.below(above * static_cast<uint64_t>(log_factor) + 1) == 0) ++value;
    return minutes(now) << 8 | value;
  }
};

}  // namespace quartet::storage
