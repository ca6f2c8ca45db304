#pragma once

#include <cstdint>

namespace quartet {

/// A fast generator that is not for secrets: xoshiro256** by Blackman and Vigna (https://prng.di.unimi.it),
/// seeded through splitmix64. The same seed gives the same sequence.
class Random {
 public:
  explicit Random(uint64_t seed);

  uint64_t next();
  /// Uniform in [0, bound). REQUIRES: bound > 0.
  uint64_t below(uint64_t bound);

 private:
  uint64_t state_[4];
};

/// 64 bits of the operating system's entropy, for seeds.
uint64_t entropy();

}  // namespace quartet
