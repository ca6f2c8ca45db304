#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace quartet::load {

/// One command with its arguments as words. In a word `#` stands for twelve digits that are drawn anew for every
/// request, and `$` for the value.
struct Case {
  std::string_view name;
  std::vector<std::string_view> words;
};

/// All cases, in the order in which they are shown.
std::vector<Case> all_cases();
std::optional<Case> find_case(std::string_view name);

/// Where the numbers of keys, members and scores come from: uniform in [0, bound), or 0, 1, 2, ... bound - 1, 0, ...
class Numbers {
 public:
  /// REQUIRES: 0 < bound <= 10^12.
  Numbers(uint64_t bound, bool sequential, uint64_t seed) : bound_(bound), sequential_(sequential), random_(seed) {}
  uint64_t next() { return sequential_ ? next_++ % bound_ : random_.below(bound_); }

 private:
  uint64_t bound_;
  bool sequential_;
  uint64_t next_ = 0;
  Random random_;
};

/// The bytes of a batch of equal requests, built once. Only the digits in it change from batch to batch.
class RequestBuffer {
 public:
  RequestBuffer(const Case& of, size_t value_size, size_t requests);

  /// Draws new numbers for the first `requests` requests and returns their bytes, valid until the next call.
  std::string_view renew(Numbers& numbers, size_t requests);

 private:
  std::string bytes_;
  size_t request_size_;
  std::vector<size_t> digits_;  // where they begin in the first request
};

}  // namespace quartet::load
