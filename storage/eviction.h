#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "storage/keyspace.h"

namespace quartet::storage {

/// Which entries give way where memory is short: the values of `maxmemory-policy`, in the order of their names.
enum class EvictionPolicy : uint8_t {
  VolatileLru,
  VolatileLfu,
  VolatileRandom,
  VolatileTtl,
  AllKeysLru,
  AllKeysLfu,
  AllKeysRandom,
  NoEviction,
};
inline constexpr std::string_view kEvictionPolicies[] = {"volatile-lru",   "volatile-lfu", "volatile-random",
                                                         "volatile-ttl",   "allkeys-lru",  "allkeys-lfu",
                                                         "allkeys-random", "noeviction"};

struct EvictionRule {
  EvictionPolicy policy = EvictionPolicy::NoEviction;
  size_t samples = 5;           // entries that are looked at for each that is evicted; at least 1
  int64_t lfu_decay_time = 1;   // minutes

  /// Whether entries without an expiry are spared.
  bool only_expiring() const { return policy <= EvictionPolicy::VolatileTtl; }
  /// Whether it reads counters of accesses (see Keyspace::count_accesses).
  bool counts_accesses() const { return policy == EvictionPolicy::VolatileLfu || policy == EvictionPolicy::AllKeysLfu; }
  /// Whether it would let any entry of the keyspace go.
  bool permits(const Keyspace& keyspace) const {
    if (policy == EvictionPolicy::NoEviction) return false;
    return (only_expiring() ? keyspace.expiring() : keyspace.size()) > 0;
  }
};

}  // namespace quartet::storage
