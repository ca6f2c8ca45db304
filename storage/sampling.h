#pragma once

#include <cstddef>

#include "base/random.h"

namespace quartet::storage {

/// Chooses `wanted` of `population` items that are met one after the other, every subset equally likely (algorithm S,
/// Knuth, The Art of Computer Programming, volume 2, 3.4.2).
class Sampler {
 public:
  Sampler(size_t population, size_t wanted) : population_(population), wanted_(wanted < population ? wanted : population) {}

  bool done() const { return wanted_ == 0; }
  /// Whether the item met now is chosen. Called once for each.
  bool take(Random& generator) {
    if (wanted_ == 0) return false;
    if (generator.below(population_--) >= wanted_) return false;
    --wanted_;
    return true;
  }

 private:
  size_t population_;
  size_t wanted_;
};

}  // namespace quartet::storage
