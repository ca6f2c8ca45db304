#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/prefetch.h"
#include "storage/scored_block.h"

namespace quartet::storage {

/// A member of a RankTree with its score: one block, 12 bytes and the member's own. It stays where it is while it is in
/// the tree. Blocks are aligned to 4 bytes, so it is too.
class [[gnu::packed, gnu::aligned(4)]] RankedItem {
 public:
  RankedItem(const RankedItem&) = delete;
  RankedItem& operator=(const RankedItem&) = delete;

  double score() const { return score_; }
  std::string_view member() const { return {reinterpret_cast<const char*>(this) + sizeof(RankedItem), length_}; }
  ScoredMember scored() const { return {member(), score_}; }
  /// Calls `visit(member, score)`.
  template <class Visit>
  void apply(Visit& visit) const {
    visit(member(), score());
  }

 private:
  friend class RankTree;
  RankedItem() = default;
  size_t bytes() const { return sizeof(RankedItem) + length_; }

  double score_;
  uint32_t length_;
};

/// Members in the order of (score, member), each with a rank: a B+ tree (D. Comer, "The Ubiquitous B-Tree", 1979) whose
/// inner nodes count what lies below each child. Operations by order and by rank take O(log n).
///
///   inner node:  [ lowest (score, item) of child 0 | of child 1 | ... ][ children ][ how many items are below each ]
///   leaf:        [ back ][ next ][ score | score | ... ][ item | item | ... ]
///
/// A skiplist does the same work with a miss of the cache at nearly each of its many steps. Here a search reads a node
/// of some lines a level, asks for all of its scores at once, and touches a member only where scores are equal; a visit
/// along the leaves asks for the members ahead. At a million members that is several times faster.
///
/// Nodes are filled completely by members that come in ascending or descending order, by about 70 % by others. A node
/// that is less than a quarter full is merged with a neighbour where both fit into one. The tree owns its items.
class RankTree {
  struct Node;
  struct Leaf;
  struct Inner;

 public:
  using Item = RankedItem;
  static constexpr size_t kMaxSize = UINT32_MAX;

  /// The place of a member in the order. Good until the tree changes.
  struct Cursor {
    Leaf* leaf = nullptr;
    size_t index = 0;
    const Item* item() const;
  };

  /// A gap between two members: how many stand before it, and where it is.
  class Gap {
   public:
    size_t rank() const { return rank_; }
    /// The member behind the gap. REQUIRES: there is one.
    Cursor behind() const;
    /// The member before it. REQUIRES: there is one.
    Cursor before() const;

   private:
    friend class RankTree;
    Leaf* leaf_ = nullptr;
    size_t index_ = 0;
    size_t rank_ = 0;
  };

  RankTree();
  RankTree(const RankTree&) = delete;
  RankTree& operator=(const RankTree&) = delete;
  ~RankTree();

  size_t size() const { return size_; }
  /// Bytes of all nodes and items, as the allocator counts them.
  size_t memory() const { return bytes_; }

  /// REQUIRES: rank < size().
  Cursor at(size_t rank) const;
  /// How many members stand before `item`. REQUIRES: it is in the tree.
  size_t rank(const Item* item) const;

  /// Adds a member. REQUIRES: (score, member) is not there; size() < kMaxSize.
  Item* insert(double score, std::string_view member);
  /// Takes an item out and frees it. REQUIRES: it is in the tree.
  void erase(Item* item);
  /// Takes `count` members from `rank` on out and frees each after `forget(Item&)`. REQUIRES: they are there.
  template <class Forget>
  void erase_ranks(size_t rank, size_t count, Forget forget);
  /// Changes the score of an item, and with it its place. REQUIRES: it is in the tree.
  void set_score(Item* item, double score);

  /// The gap behind all members that satisfy `is_before(std::string_view member, double score)`.
  /// REQUIRES: no member that satisfies it stands behind one that does not (else the gap is any).
  template <class IsBefore>
  Gap partition_point(IsBefore is_before) const;

  /// Calls `visit(const Item&)` for `count` members from a cursor on, backwards where `reverse`, until it returns
  /// false. REQUIRES: they are there; `visit` does not change the tree.
  template <class Visit>
  static void visit(Cursor from, size_t count, bool reverse, Visit visit);

 private:
  static constexpr size_t kLine = 64;
  static constexpr size_t kLeafItems = 62, kChildren = 63;
  /// A node is split only when it is full, and its halves fill up again only by as many additions: even with erasures
  /// between, a tree of this height takes more than 10^16 of them.
  static constexpr size_t kMaxHeight = 12;

  struct Node {
    size_t count = 0;
  };
  struct Leaf : Node {
    double score[kLeafItems];
    Leaf* back = nullptr;
    Leaf* next = nullptr;
    Item* item[kLeafItems];
  };
  struct Inner : Node {
    double score[kChildren];
    Item* item[kChildren];
    Node* child[kChildren];
    uint32_t below[kChildren];
  };
  static_assert(sizeof(Leaf) <= 1024 && sizeof(Inner) <= 1792, "nodes fit the allocator's sizes");

  /// The way from the root to a place in a leaf; step[0] is the inner node above the leaf.
  struct Path {
    struct Step {
      Inner* node;
      size_t index;
    };
    Step step[kMaxHeight];
    Leaf* leaf;
    size_t index;
  };

  /// Asks for a node's scores, which the search in it reads first.
  static void prefetch(const Node* node) {
    const char* at = reinterpret_cast<const char*>(node);
    for (size_t line = 0; line < sizeof(Node) + sizeof(Leaf::score); line += kLine) prefetch_line(at + line);
  }
  static size_t items_before(const Inner& node, size_t child) {
    size_t sum = 0;
    for (size_t i = 0; i < child; ++i) sum += node.below[i];
    return sum;
  }
  template <class IsBefore>
  static size_t count_before(const double* scores, Item* const* items, size_t count, IsBefore& is_before) {
    size_t low = 0;
    while (count > 0) {
      const size_t half = count / 2;
      if (is_before(items[low + half], scores[low + half])) {
        low += half + 1;
        count -= half + 1;
      } else {
        count = half;
      }
    }
    return low;
  }
  static size_t count_up_to(const double* scores, Item* const* items, size_t count, const Item* wanted);

  Item* allocate(double score, std::string_view member);
  void release(Item* item);
  template <class T>
  T* new_node();
  template <class T>
  void free_node(T* node);
  void destroy(Node* node, size_t height);

  /// The way to behind the last member that is not above `item`; `item` itself if it is in the tree.
  void seek(const Item* item, Path& path) const;
  void seek_rank(size_t rank, Path& path) const;
  void place(Item* item);
  void add_child(Path& path, size_t level, Node* child, double score, Item* item, size_t below);
  /// Takes `count` items from the path's place on, all in its leaf, out of the tree without freeing them.
  void take_out(Path& path, size_t count);
  void remove_child(Path& path, size_t level);
  void merge(Path& path, size_t level);
  bool merge_children(Inner& parent, size_t left, bool leaves);
  void lower_root();
  /// Tells the inner nodes from `level` up that the lowest member below has changed.
  void set_lowest(Path& path, size_t level, double score, Item* item);

  size_t bytes_ = 0;  ///< before the root, which is counted in it as it is made
  Node* root_;
  size_t height_ = 0;  ///< levels of inner nodes
  size_t size_ = 0;
};

inline const RankTree::Item* RankTree::Cursor::item() const { return leaf->item[index]; }

inline RankTree::Cursor RankTree::Gap::behind() const {
  return index_ < leaf_->count ? Cursor{leaf_, index_} : Cursor{leaf_->next, 0};
}
inline RankTree::Cursor RankTree::Gap::before() const {
  return index_ > 0 ? Cursor{leaf_, index_ - 1} : Cursor{leaf_->back, leaf_->back->count - 1};
}

template <class IsBefore>
RankTree::Gap RankTree::partition_point(IsBefore is_before) const {
  const auto item_is_before = [&](const Item* item, double score) { return is_before(item->member(), score); };
  Gap gap;
  Node* node = root_;
  for (size_t level = height_; level > 0; --level) {
    const Inner& inner = *static_cast<Inner*>(node);
    const size_t lower = count_before(inner.score, inner.item, inner.count, item_is_before);
    const size_t child = lower > 0 ? lower - 1 : 0;
    node = inner.child[child];
    prefetch(node);
    gap.rank_ += items_before(inner, child);
  }
  gap.leaf_ = static_cast<Leaf*>(node);
  gap.index_ = count_before(gap.leaf_->score, gap.leaf_->item, node->count, item_is_before);
  gap.rank_ += gap.index_;
  return gap;
}

template <class Visit>
void RankTree::visit(Cursor from, size_t count, bool reverse, Visit visit) {
  constexpr size_t kAhead = 8;
  const Leaf* leaf = from.leaf;
  size_t index = from.index;
  while (count > 0) {
    // The items of a leaf lie anywhere in memory: they are asked for some steps before their turn.
    const size_t here = reverse ? index + 1 : leaf->count - index;
    const size_t steps = count < here ? count : here;
    const auto nth = [&](size_t n) { return leaf->item[reverse ? index - n : index + n]; };
    prefetch_line(reverse ? leaf->back : leaf->next);
    for (size_t n = 0; n < steps && n < kAhead; ++n) prefetch_line(nth(n));
    for (size_t n = 0; n < steps; ++n) {
      if (n + kAhead < steps) prefetch_line(nth(n + kAhead));
      if (!visit(static_cast<const Item&>(*nth(n)))) return;
    }
    count -= steps;
    leaf = reverse ? leaf->back : leaf->next;
    if (leaf) index = reverse ? leaf->count - 1 : 0;
  }
}

template <class Forget>
void RankTree::erase_ranks(size_t rank, size_t count, Forget forget) {
  while (count > 0) {
    Path path;
    seek_rank(rank, path);
    Item* items[kLeafItems];
    size_t here = path.leaf->count - path.index;
    if (count < here) here = count;
    for (size_t i = 0; i < here; ++i) items[i] = path.leaf->item[path.index + i];
    take_out(path, here);
    for (size_t i = 0; i < here; ++i) {
      forget(*items[i]);
      release(items[i]);
    }
    count -= here;
  }
}

}  // namespace quartet::storage
