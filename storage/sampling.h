#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/pauses.h"
#include "base/random.h"

namespace quartet::storage {

/// Chooses `wanted` of `population` items that are met one after the other, every subset equally likely (algorithm S,
/// Knuth, The Art of Computer Programming, volume 2, 3.4.2).
class Sampler {
 public:
  Sampler(size_t population, size_t wanted)
      : population_(population), wanted_(wanted < population ? wanted : population) {}

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

/// Calls `visit(const Item*)` for `count` different items of a table, every subset equally likely. REQUIRES: it has
/// more than those, and had better have several times as many, because items that were drawn before are drawn again.
template <class Table, class Visit>
void sample_items(const Table& table, size_t count, Random& generator, Pauses* pauses, Visit visit) {
  using Pointer = decltype(table.random(generator));
  constexpr size_t kFew = 1024;
  if (count <= kFew) {
    std::unordered_set<Pointer> chosen;
    while (chosen.size() < count) {
      const Pointer item = table.random(generator);
      if (chosen.insert(item).second) visit(item);
    }
    return;
  }
  // In order, because a hash table of many would grow, and be freed, in one piece. As many are drawn as are missing
  // until none is: the first different ones of a row of draws.
  std::vector<Pointer> chosen, drawn, merged;
  while (chosen.size() < count) {
    drawn.clear();
    for (size_t missing = count - chosen.size(); missing > 0; --missing) {
      breathe(pauses);
      drawn.push_back(table.random(generator));
    }
    std::sort(drawn.begin(), drawn.end(), [&](Pointer a, Pointer b) {
      breathe(pauses);
      return std::less<>()(a, b);
    });
    merged.clear();
    auto old = chosen.begin();
    const auto add = [&](Pointer item) {
      breathe(pauses);
      if (merged.empty() || merged.back() != item) merged.push_back(item);
    };
    for (const Pointer item : drawn) {
      for (; old != chosen.end() && !std::less<>()(item, *old); ++old) add(*old);
      add(item);
    }
    for (; old != chosen.end(); ++old) add(*old);
    chosen.swap(merged);
  }
  for (const Pointer item : chosen) visit(item);
}

}  // namespace quartet::storage
