#pragma once

#include <cstdint>

namespace quartet::server::lua {

/// The generator of POSIX's lrand48: 48 bits of linear congruence. Scripts get the same numbers from the same seed on
/// every platform, because a script may be run again elsewhere.
class Random48 {
 public:
  void seed(int32_t seed) { state_ = (static_cast<uint64_t>(static_cast<uint32_t>(seed)) << 16) | 0x330E; }
  /// Between 0 and 2^31 - 1.
  int32_t next() {
    state_ = (state_ * 0x5DEECE66DULL + 0xB) & ((1ULL << 48) - 1);
    return static_cast<int32_t>(state_ >> 17);
  }

 private:
  uint64_t state_ = 0x1234ABCD330EULL;
};

}  // namespace quartet::server::lua
