#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace quartet::load {

enum class Protocol { Resp, Memcached };

using Words = std::vector<std::string_view>;

/// One command with its arguments as words. In a word
///   #  stands for twelve digits that are drawn anew every time,
///   @  for a position among `--keys` that is drawn anew; an @ that follows one, for the position nine behind that,
///   $  for the value; to memcached with its length before it.
struct Case {
  std::string_view name;
  Words words;
  Protocol protocol = Protocol::Resp;
  Words before = {"PING"};  // what is sent once before the load
};

/// All cases, in the order in which they are shown.
std::vector<Case> all_cases();
std::optional<Case> find_case(std::string_view name);

/// Where the numbers of keys, members and scores come from: each uniform in [0, bound), or all numbers of a request the
/// same, and those of the requests 0, 1, 2, ... bound - 1, 0, ...
class Numbers {
 public:
  /// REQUIRES: 0 < bound <= 10^12.
  Numbers(uint64_t bound, bool sequential, uint64_t seed);
  uint64_t next() { return sequential_ ? request_ % bound_ : random_.below(bound_); }
  void next_request() { ++request_; }

  /// A position below `bound`, at random. Redis takes no integers with leading zeros, and a request cannot change its
  /// length: so it is one that has as many digits as bound - 1, and that up to nine can be added to.
  uint64_t position() { return least_position_ + random_.below(positions_); }

 private:
  uint64_t bound_;
  bool sequential_;
  uint64_t request_ = 0;
  uint64_t least_position_, positions_;
  Random random_;
};

/// The bytes of a batch of equal requests, built once. Only the digits in it change from batch to batch.
class RequestBuffer {
 public:
  RequestBuffer(const Words& words, Protocol protocol, uint64_t keys, size_t value_size, size_t requests);

  /// Draws new numbers for the first `requests` requests and returns their bytes, valid until the next call.
  std::string_view renew(Numbers& numbers, size_t requests);

 private:
  struct Digits {
    size_t at;  // in the first request
    size_t count;
    enum { Number, Position, PositionBehind } kind;
  };

  /// The word with its placeholders filled in. Its digits are noted by where they stand in the word.
  std::string expand(std::string_view word, Protocol protocol, uint64_t keys, size_t value_size);

  std::string bytes_;
  size_t request_size_;
  std::vector<Digits> digits_;
};

}  // namespace quartet::load
