#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "storage/scored_block.h"

namespace quartet::storage {

/// A member of a skiplist: one allocation that holds everything about it.
///
///   [ score: 64 ][ back: 56, height: 8 ][ next: 64 ][ length: 32 ][ link 1 ] ... [ link height - 1 ][ member bytes ]
///   link: [ next: 64 ][ span: 32 ]
///
/// Level 0 is the list itself; every step on it is one member long, so that it needs no span. With heights drawn at
/// p = 1/4, three nodes of four have no further link: 28 bytes and the member.
class SkiplistNode {
 public:
  SkiplistNode(const SkiplistNode&) = delete;
  SkiplistNode& operator=(const SkiplistNode&) = delete;

  double score() const { return score_; }
  std::string_view member() const { return {reinterpret_cast<const char*>(links() + height_ - 1), length_}; }
  ScoredMember scored() const { return {member(), score_}; }
  /// The neighbours in order; null at either end.
  SkiplistNode* next() const { return next_; }
  SkiplistNode* back() const { return reinterpret_cast<SkiplistNode*>(back_); }

 private:
  friend class Skiplist;

  /// A link of a higher level. `span` is how many members forward it leads; where there is no next, how many are left.
  struct [[gnu::packed, gnu::aligned(4)]] Link {
    SkiplistNode* next;
    uint32_t span;
  };
  static_assert(sizeof(Link) == 12);

  SkiplistNode() = default;

  /// The links begin right behind the length, without the padding that the compiler would leave there.
  static constexpr size_t kLinksOffset = 28;
  Link* links() const {
    return reinterpret_cast<Link*>(reinterpret_cast<char*>(const_cast<SkiplistNode*>(this)) + kLinksOffset);
  }
  Link& link(int level) const {
    assert(level > 0);
    return links()[level - 1];
  }
  SkiplistNode* next(int level) const { return level == 0 ? next_ : link(level).next; }
  size_t span(int level) const { return level == 0 ? 1 : link(level).span; }
  void set_back(SkiplistNode* node) { back_ = reinterpret_cast<uint64_t>(node); }
  bool before(double score, std::string_view member) const { return scored_less(score_, this->member(), score, member); }

  double score_;
  uint64_t back_ : 56;
  uint64_t height_ : 8;
  SkiplistNode* next_;
  uint32_t length_;
};

/// A list ordered by (score, member) with express lanes over it, as by W. Pugh, "Skip lists: a probabilistic alternative
/// to balanced trees" (1990), section "Linear list operations" of his "A skip list cookbook" for the spans. Operations by
/// order or by rank take O(log n) expected time. It owns its nodes; they do not move.
class Skiplist {
 public:
  using Node = SkiplistNode;
  /// Enough for 4^16 members, more than a span can count.
  static constexpr int kMaxHeight = 16;
  static constexpr size_t kMaxSize = UINT32_MAX;

  /// On every level the last node before a place, and how many members stand before the place's node there (the head: 0).
  struct Path {
    Node* node[kMaxHeight];
    size_t rank[kMaxHeight];
  };
  /// The last node that satisfied a search (null: none did), and how many did.
  struct Position {
    Node* node;
    size_t rank;
  };

  Skiplist();
  Skiplist(const Skiplist&) = delete;
  Skiplist& operator=(const Skiplist&) = delete;
  ~Skiplist();

  size_t size() const { return size_; }
  /// Bytes of all nodes, as the allocator counts them.
  size_t memory() const { return bytes_; }
  Node* front() const { return head_->next_; }
  Node* back() const { return tail_; }
  /// The node at a rank. REQUIRES: rank < size().
  Node* at(size_t rank) const;
  /// How many nodes stand before `node`.
  size_t rank(const Node* node) const;

  /// Adds a member. REQUIRES: (score, member) is not there; size() < kMaxSize.
  Node* insert(double score, std::string_view member);
  /// Takes a node out and frees it.
  void erase(Node* node);
  /// Takes `count` nodes from `rank` on out and frees each after `forget(Node&)`.
  template <class Forget>
  void erase_ranks(size_t rank, size_t count, Forget forget) {
    Path path;
    seek_rank(rank, path);
    for (; count > 0; --count) {
      Node* node = path.node[0]->next_;
      forget(*node);
      unlink(node, path);
      release(node);
    }
  }
  /// Changes the score of a node, and with it its place. The node remains the same.
  void set_score(Node* node, double score);

  /// The path to behind the last member, for `append`.
  void seek_end(Path& path) const { seek_rank(size_, path); }
  /// Adds a member that is above all others behind `end`, which stays the path to the end.
  Node* append(double score, std::string_view member, Path& end);

  /// Searches for the last node that satisfies `is_before(const Node&)`.
  /// REQUIRES: no node that satisfies it stands behind one that does not.
  template <class IsBefore>
  Position partition_point(IsBefore is_before) const {
    Node* node = head_;
    size_t rank = 0;
    for (int level = height_ - 1; level >= 0; --level) {
      Node* next;
      while ((next = node->next(level)) && (prefetch_below(node, level), is_before(*next))) {
        rank += node->span(level);
        node = next;
      }
    }
    return {node == head_ ? nullptr : node, rank};
  }

 private:
  /// A search that does not go on along this level goes on along the one below; asking for that node early lets the
  /// two misses of the cache overlap.
  static void prefetch_below(const Node* node, int level) {
    if (level > 0) __builtin_prefetch(node->next(level - 1));
  }

  Node* allocate(int height, double score, std::string_view member);
  void release(Node* node);
  int random_height();
  void seek(double score, std::string_view member, Path& path) const;
  void seek_rank(size_t rank, Path& path) const;
  void link(Node* node, Path& path);
  void unlink(Node* node, const Path& path);

  Node* head_;
  Node* tail_ = nullptr;
  size_t size_ = 0;
  size_t bytes_ = 0;
  int height_ = 1;
  uint64_t random_state_;
};

}  // namespace quartet::storage
