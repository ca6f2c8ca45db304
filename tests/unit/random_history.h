#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/random.h"

namespace quartet::test {

/// The seed of a random history: a new one in each run, or that of QUARTET_SEED, to repeat a run that failed. Tests CAPTURE it.
inline uint64_t history_seed() {
  const char* given = std::getenv("QUARTET_SEED");
  return given ? std::strtoull(given, nullptr, 10) : entropy();
}

/// Text of the kinds that storage tells apart: integers of all widths, short strings, strings around the lengths where
/// the encodings change, and at times the empty one. Texts repeat often enough to be met again.
inline std::string random_text(Random& random, size_t longest = 70) {
  switch (random.below(8)) {
    case 0: return std::to_string(random.below(100));
    case 1: return std::to_string(static_cast<int64_t>(random.next()) >> random.below(64));
    case 2: return "item:" + std::to_string(random.below(1000));
    case 3: return std::string(random.below(longest + 1), static_cast<char>('a' + random.below(26)));
    case 4: {
      std::string bytes(random.below(12), '\0');
      for (char& c : bytes) c = static_cast<char>(random.next());
      return bytes;
    }
    case 5: return "-" + std::to_string(random.below(10000));
    case 6: return "0" + std::to_string(random.below(50));
    default: return "member-" + std::to_string(random.below(100));
  }
}

}  // namespace quartet::test
