#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"
#include "base/random.h"

namespace quartet::server {

/// What an entry's 24 bits of access mean under an LFU policy, as Redis documents it for `maxmemory-policy`: the minute
/// of the last change of the counter in the upper 16, and in the lower 8 a counter that grows ever more slowly
/// (`lfu-log-factor`) and loses one every `lfu-decay-time` minutes.
struct LfuAccess {
  static constexpr uint32_t kNewCounter = 5;

  static uint32_t minutes(const Time& now) { return static_cast<uint32_t>(now.wall_us / 60'000'000) & 0xffff; }
  static uint32_t fresh(const Time& now) { return minutes(now) << 8 | kNewCounter; }

  /// The counter as of now.
  static uint32_t counter(uint32_t access, const Time& now, int64_t decay_time) {
    const uint32_t value = access & 0xff;
    if (decay_time == 0) return value;
    const uint32_t elapsed = (minutes(now) - (access >> 8)) & 0xffff;
    const auto periods = static_cast<uint32_t>(elapsed / decay_time);
    return value - std::min(value, periods);
  }

  static uint32_t touched(uint32_t access, const Time& now, Random& random, int64_t log_factor, int64_t decay_time) {
    uint32_t value = counter(access, now, decay_time);
    const uint64_t above = value > kNewCounter ? value - kNewCounter : 0;
    if (value < 255 && random.below(above * static_cast<uint64_t>(log_factor) + 1) == 0) ++value;
    return minutes(now) << 8 | value;
  }
};

}  // namespace quartet::server
