#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "storage/dict.h"
#include "storage/element_walks.h"
#include "storage/keyspace.h"
#include "storage/rank_tree.h"
#include "storage/scored_block.h"

namespace quartet::storage {

/// A large sorted set: a tree for the order and a dict for the members, both over the same items. It lives on the heap
/// and may be destroyed on any thread.
class SortedSetTable {
 public:
  using Item = RankedItem;

  SortedSetTable();
  SortedSetTable(const SortedSetTable&) = delete;
  SortedSetTable& operator=(const SortedSetTable&) = delete;
  ~SortedSetTable();

  size_t size() const { return tree_.size(); }
  /// Bytes of the table and of everything it owns, as the allocator counts them.
  size_t memory() const { return own_bytes_ + tree_.memory() + dict_.memory(); }
  /// Roughly how many calls of free() its end takes.
  size_t allocations() const { return tree_.size() + 2; }
  std::unique_ptr<SortedSetTable> clone(Pauses* pauses) const;

  /// See prefetch_element.
  void prefetch(uint64_t hash) const { dict_.prefetch(hash); }
  void prefetch_item(uint64_t hash) const { dict_.prefetch_item(hash); }

  Item* find(uint64_t hash, std::string_view member) const { return dict_.find(hash, member); }
  /// REQUIRES: the member is not there.
  void insert(uint64_t hash, std::string_view member, double score);
  /// False where the member is not there.
  bool erase(uint64_t hash, std::string_view member);
  /// Erases `count` members from `rank` on. REQUIRES: they are there.
  void erase_ranks(size_t rank, size_t count);
  /// Changes the score of a member of the table.
  void set_score(Item* item, double score) {
    if (score != item->score()) tree_.set_score(item, score);
  }

  const RankTree& tree() const { return tree_; }
  Item* random(Random& generator) const { return dict_.random(generator); }
  template <class Visit>
  uint64_t scan(uint64_t cursor, Visit visit) const {
    return dict_.scan(cursor, visit);
  }

 private:
  struct Traits {
    using Item = RankedItem;
    static std::string_view key(const RankedItem& item) { return item.member(); }
  };

  Dict<Traits> dict_;
  RankTree tree_;
  const size_t own_bytes_;
};

/// Bounds of a range of scores. The infinities are ordinary bounds.
struct ScoreRange {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool min_exclusive = false;
  bool max_exclusive = false;
};

/// One bound of a range of members, as the BYLEX commands write it: "-", "+", "[value" or "(value".
struct LexBound {
  enum class Kind : uint8_t { Lowest, Highest, Inclusive, Exclusive };
  Kind kind = Kind::Lowest;
  std::string_view value = {};
};
struct LexRange {
  LexBound min{LexBound::Kind::Lowest};
  LexBound max{LexBound::Kind::Highest};
};

/// Which changes of a score are wanted: the options of ZADD.
struct ScoreOptions {
  bool only_new = false;       ///< NX
  bool only_existing = false;  ///< XX
  bool only_greater = false;   ///< GT; does not keep new members out
  bool only_less = false;      ///< LT; does not keep new members out
  bool increment = false;      ///< INCR: the given score is added to the present one, or to 0
};

enum class ScoreChange : uint8_t {
  Added,
  Updated,
  Unchanged,   ///< the member has this score already
  Refused,     ///< the options did not want it
  NotANumber,  ///< the sum of infinities; nothing was changed
};

struct ScoreResult {
  ScoreChange change;
  /// The member's score now. Not meaningful where it is Refused and the member is not there, or NotANumber.
  double score;
};

/// A sorted set under a key: members in the order of (score, bytes of the member). A score is never NaN, and -0 equals
/// +0. Small ones are a ScoredBlock inside the entry (Packed), large ones a SortedSetTable (Table); which one it is
/// follows the keyspace's thresholds, and a large one stays large. An empty set is left to the caller to erase.
///
/// A rank is the number of members before a member: 0 is the lowest. Views of members are good until the set changes.
class SortedSetValue : public Handle {
 public:
  /// REQUIRES: entry->type() == Type::SortedSet.
  using Handle::Handle;

  /// An empty small one under a new key. REQUIRES: the key is not there.
  static SortedSetValue create(Keyspace& keyspace, std::string_view key);
  /// Creates a key with these members, or gives an existing entry of any type this value; without an expiry in either
  /// case. `members` may be views into the old value. REQUIRES: ascending by (score, member) without repetition, not
  /// empty.
  static SortedSetValue assign(Keyspace& keyspace, Entry* entry, std::string_view key,
                               std::span<const ScoredMember> members, Pauses* pauses = nullptr);
  static size_t packed_size(const Entry& entry) { return ScoredBlock(entry.bytes()).size(); }

  size_t size() const { return large() ? table().size() : block().size(); }
  bool empty() const { return size() == 0; }

  /// Inserts the member or changes its score. Ascending and descending orders are the fastest to fill a set in.
  /// REQUIRES: `score` is not NaN; `member` is not a view into this set.
  ScoreResult set(std::string_view member, double score, ScoreOptions options = {});
  /// Erases a member and returns whether it was there. `member` may be a view that this set gave out.
  bool erase(std::string_view member);
  std::optional<double> score(std::string_view member) const;
  std::optional<size_t> rank(std::string_view member) const;
  std::optional<size_t> reverse_rank(std::string_view member) const;
  /// The member at a rank. REQUIRES: rank < size().
  ScoredMember at(size_t rank) const;

  /// Consecutive members, ready to be visited: where they begin and how many they are. Good until the set changes.
  struct Slice {
    size_t count = 0;
    size_t first = 0;  ///< rank of the member that is visited first
    bool reverse = false;
    RankTree::Cursor cursor = {};  ///< the member at `first` where the set is large

    /// Rank of the lowest member in it. REQUIRES: count > 0.
    size_t lowest() const { return reverse ? first + 1 - count : first; }
  };

  /// `count` members from the one at `start` on, or as many as there are; `start` is counted from the highest member
  /// downwards where `reverse`.
  Slice slice(size_t start, size_t count, bool reverse = false) const;
  /// Members of a range, without the first `offset` and not more than `limit`, both counted in the direction of the
  /// visit.
  Slice slice(const ScoreRange& range, bool reverse = false, size_t offset = 0, size_t limit = SIZE_MAX) const;
  /// The same by members; meaningful where all scores are equal, an unspecified slice otherwise.
  Slice slice(const LexRange& range, bool reverse = false, size_t offset = 0, size_t limit = SIZE_MAX) const;
  size_t count(const ScoreRange& range) const { return slice(range).count; }
  size_t count(const LexRange& range) const { return slice(range).count; }

  /// Calls `visit(std::string_view member, double score)` in order until it returns false. `visit` must not change the
  /// set.
  template <class Visit>
  void visit(const Slice& slice, Visit visit) const;
  template <class Visit>
  void for_each(Visit visitor) const {
    visit(slice(0, SIZE_MAX), visitor);
  }

  /// The work (see Pauses) of copying or erasing the members of a slice; once it comes to `enough` no more of them are
  /// looked at.
  size_t work_of(const Slice& slice, size_t enough) const;
  /// Erases the members of a slice; returns how many.
  size_t erase(const Slice& slice, Pauses* pauses = nullptr);
  /// Visits and erases up to `count` lowest (or, if `highest`, highest) members. Returns how many. `visitor` returns
  /// nothing.
  template <class Visit>
  size_t pop(bool highest, size_t count, Visit visitor, Pauses* pauses = nullptr) {
    const Slice popped = slice(0, count, highest);
    visit(popped, [&](std::string_view member, double score) {
      visitor(member, score);
      return true;
    });
    return erase(popped, pauses);
  }

  /// Calls `visit(member, score)` for about `count` members beginning at `cursor`, and returns the next cursor; 0 is
  /// the first cursor and the answer at the end. A small set is visited whole. See Dict::scan.
  template <class Visit>
  uint64_t scan(uint64_t cursor, size_t count, Visit visit) const;

  /// Calls `visit(member, score)` for `count` different members chosen at random (for all, where there are not more).
  template <class Visit>
  void sample(size_t count, Random& generator, Visit visit, Pauses* pauses = nullptr) const;
  /// Calls `visit(member, score)` for a member chosen at random, `count` times. Does nothing on an empty set.
  template <class Visit>
  void draw(size_t count, Random& generator, Visit visit) const;

 private:
  bool large() const { return entry->encoding() == Encoding::Table; }
  SortedSetTable& table() const { return entry->table<SortedSetTable>(); }
  const SortedSetTable* large_table() const { return large() ? &table() : nullptr; }
  ScoredBlock block() const { return ScoredBlock(entry->bytes()); }

  ScoreResult set_large(std::string_view member, double score, ScoreOptions options);
  ScoreResult set_small(std::string_view member, double score, ScoreOptions options);
  void convert_to_table();
  template <class IsBelow, class IsAbove>
  Slice slice_between(IsBelow is_below, IsAbove is_above, bool reverse, size_t offset, size_t limit) const;
};

template <class Visit>
void SortedSetValue::visit(const Slice& slice, Visit visit) const {
  if (large()) {
    RankTree::visit(slice.cursor, slice.count, slice.reverse,
                    [&](const RankedItem& item) { return visit(item.member(), item.score()); });
    return;
  }
  const ScoredBlock members = block();
  for (size_t i = 0; i < slice.count; ++i) {
    const size_t rank = slice.reverse ? slice.first - i : slice.first + i;
    if (!visit(members.member(rank), members.score(rank))) return;
  }
}

template <class Visit>
uint64_t SortedSetValue::scan(uint64_t cursor, size_t count, Visit visit) const {
  return scan_elements(*this, large_table(), cursor, count, visit);
}

template <class Visit>
void SortedSetValue::sample(size_t count, Random& generator, Visit visit, Pauses* pauses) const {
  sample_elements(*this, large_table(), count, generator, visit, pauses);
}

template <class Visit>
void SortedSetValue::draw(size_t count, Random& generator, Visit visitor) const {
  if (size() == 0) return;
  for (; count > 0; --count) {
    const ScoredMember drawn = large() ? table().random(generator)->scored() : at(generator.below(size()));
    visitor(drawn.member, drawn.score);
  }
}

}  // namespace quartet::storage
