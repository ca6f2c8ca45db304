#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace quartet::storage {

/// A member of a sorted set with its score.
struct ScoredMember {
  std::string_view member;
  double score;
};

/// The order of a sorted set: by score, then by the bytes of the member.
inline bool scored_less(double score_a, std::string_view a, double score_b, std::string_view b) {
  return score_a < score_b || (score_a == score_b && a < b);
}

/// A small sorted set in one block of bytes, in ascending order:
///
///   [ count: 16 ][ slot ] ... [ slot ][ member bytes ] ... [ member bytes ]
///   slot: [ score: 64, a double ][ end: 16, where the member's bytes end, from where the first member's begin ]
///
/// A score of -0 is kept as 0, as a packed sorted set of Redis keeps it. Slots have one size, so that ranks are indices
/// and searches by score are binary. The class is a view that allocates nothing; where the block lies and how it grows
/// is the caller's.
class ScoredBlock {
 public:
  static constexpr size_t kHeaderBytes = 2, kSlotBytes = 10;
  /// Most bytes that all members together may have, so that the slots can tell their ends.
  static constexpr size_t kMaxMemberBytes = 0xffff;
  /// Most members, so that they can be counted.
  static constexpr size_t kMaxSize = 0xffff;

  /// `bytes` is empty, which is a block without members, or a whole block.
  explicit ScoredBlock(std::string_view bytes) : bytes_(bytes) {}

  size_t size() const { return bytes_.empty() ? 0 : load16(bytes_.data()); }
  size_t member_bytes() const { return end(size()); }
  double score(size_t rank) const {
    double score;
    std::memcpy(&score, slot(rank), 8);
    return score;
  }
  std::string_view member(size_t rank) const {
    const size_t begin = end(rank);
    return {bytes_.data() + kHeaderBytes + size() * kSlotBytes + begin, end(rank + 1) - begin};
  }

  /// The rank of a member, whatever its score.
  std::optional<size_t> find(std::string_view member) const;
  /// How many members stand before (score, member).
  size_t lower_bound(double score, std::string_view member) const;

  /// How many members at the beginning satisfy `is_before(std::string_view member, double score)`.
  /// REQUIRES: no member that satisfies it stands behind one that does not.
  template <class IsBefore>
  size_t partition_point(IsBefore is_before) const {
    size_t low = 0, high = size();
    while (low < high) {
      const size_t middle = (low + high) / 2;
      if (is_before(member(middle), score(middle))) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /// Bytes of a block of `size` members that have `member_bytes` together.
  static size_t bytes_for(size_t size, size_t member_bytes) {
    return size == 0 ? 0 : kHeaderBytes + size * kSlotBytes + member_bytes;
  }

  // Changes of a block in memory. Sizes in bytes follow bytes_for.

  /// Writes a member at `rank` into a block of `size` members. `block` has room for the larger one.
  static void insert(char* block, size_t size, size_t rank, std::string_view member, double score);
  /// Takes `count` members from `rank` on out of a block.
  static void erase(char* block, size_t rank, size_t count);
  /// Gives the member at rank `from` another score and moves it to rank `to`.
  static void move(char* block, size_t from, size_t to, double score);

 private:
  static size_t load16(const char* at) {
    uint16_t value;
    std::memcpy(&value, at, 2);
    return value;
  }
  const char* slot(size_t rank) const { return bytes_.data() + kHeaderBytes + rank * kSlotBytes; }
  /// Where the bytes of the member before `rank` end, which is where those of the one at `rank` begin.
  size_t end(size_t rank) const { return rank == 0 ? 0 : load16(slot(rank - 1) + 8); }

  std::string_view bytes_;
};

}  // namespace quartet::storage
