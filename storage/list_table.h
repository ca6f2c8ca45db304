#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/pauses.h"
#include "storage/packed.h"

namespace quartet::storage {

enum class End : uint8_t { Head, Tail };

/// How large a node of a list may grow, from `list-max-listpack-size`.
struct NodeLimit {
  size_t bytes;
  size_t elements;
  static NodeLimit from_setting(int64_t list_max_listpack_size);
};

/// A large list: a ring of nodes, each a block of packed elements without a header.
///
///   node:   [ room ][ element ] ... [ element ][ room ]
///            0       begin                      end    capacity
///
/// Room at both sides makes a push or pop at either end of the list a matter of its own bytes. A node that is an end
/// of the list has the full size; inside the list a node is cut to what it holds. An element that is longer than a
/// node may be has one of its own.
class ListTable {
 public:
  /// Where an element is: the node, counted from the head, and the offset within the node's elements.
  struct Place {
    size_t node;
    size_t offset;
  };

  ListTable();
  ListTable(const ListTable&) = delete;
  ListTable& operator=(const ListTable&) = delete;
  ~ListTable();
  std::unique_ptr<ListTable> clone(Pauses* pauses) const;

  size_t size() const { return size_; }
  /// Bytes of everything it owns and of itself, as the allocator counts them.
  size_t memory() const { return own_bytes_ + ring_bytes_ + block_bytes_; }
  /// Roughly how many blocks its destruction frees.
  size_t allocations() const { return nodes_; }
  /// Bytes of all elements.
  size_t element_bytes() const { return element_bytes_; }

  /// Nothing is looked up by its value in a list.
  void prefetch(uint64_t) const {}
  void prefetch_item(uint64_t) const {}

  void push(End end, std::string_view value, const NodeLimit& limit);
  /// Adds a run of `count` packed elements at the tail, as one node.
  void append_run(std::string_view elements, size_t count, const NodeLimit& limit);
  /// REQUIRES: count <= size().
  void drop(End end, size_t count);
  /// REQUIRES: index < size().
  Place locate(size_t index) const;
  /// Puts `value` in the place of an element.
  void replace(Place place, std::string_view value, const NodeLimit& limit);
  /// Puts `value` before or behind an element.
  void insert(Place place, bool before, std::string_view value, const NodeLimit& limit);
  /// Removes elements, looking from the head, and returns how many. The table is not to be looked at during a pause,
  /// nor to be destroyed.
  size_t remove(packed::Removal removal, const NodeLimit& limit, Pauses* pauses);

  size_t nodes() const { return nodes_; }
  /// The elements of a node, counted from the head.
  std::string_view elements(size_t node) const { return at(node).elements(); }
  size_t count(size_t node) const { return at(node).count; }
  /// What it takes to go through a node, in the unit of Pauses.
  size_t work_of(size_t node) const { return work_of_elements(at(node).count, at(node).bytes()); }
  /// The same for so many elements at an end: that of their nodes, which are counted until it comes to `enough`.
  size_t work_of(End end, size_t count, size_t enough) const;

 private:
  struct Node {
    char* block;
    uint32_t capacity, begin, end, count;
    std::string_view elements() const { return {block + begin, bytes()}; }
    size_t bytes() const { return size_t{end} - begin; }
    size_t room(End side) const { return side == End::Head ? begin : size_t{capacity} - end; }
  };

  Node& at(size_t node) const { return ring_[(first_ + node) & (ring_capacity_ - 1)]; }
  static bool fits(const Node& node, size_t bytes, const NodeLimit& limit) {
    return node.count < limit.elements && node.bytes() + bytes <= limit.bytes;
  }

  Node make_node(size_t capacity);
  void free_block(const Node& node);
  /// Gives a node another block, in which its elements begin at `begin`. REQUIRES: begin + bytes() <= capacity.
  void move_block(Node& node, size_t capacity, size_t begin);
  /// Cuts a node to its elements where much of it is room.
  void cut(Node& node);

  void resize_ring(size_t capacity);
  /// Puts a node into the ring before the one at `position`.
  Node& insert_node(size_t position, const Node& node);
  /// Takes a node out of the ring and frees it.
  void erase_node(size_t position);

  /// Makes room for `bytes` bytes at the side of a node of which `fits` is true; false where a new node costs less.
  bool make_room(Node& node, End side, size_t bytes, const NodeLimit& limit);
  /// Replaces bytes within a node by room for others, and returns the address of that.
  char* splice(Node& node, size_t offset, size_t old_bytes, size_t new_bytes);
  /// Divides a node in two before `offset`. REQUIRES: there are elements on both sides.
  void split(size_t position, size_t offset);
  /// Joins the node with the one behind it where both are nearly empty.
  bool merge(Node& node, const Node& behind, const NodeLimit& limit);

  Node* ring_ = nullptr;
  size_t ring_capacity_ = 0;  // a power of two
  size_t first_ = 0;
  size_t nodes_ = 0;
  size_t size_ = 0;
  size_t element_bytes_ = 0;
  size_t block_bytes_ = 0;
  size_t ring_bytes_ = 0;
  size_t own_bytes_;
};

}  // namespace quartet::storage
