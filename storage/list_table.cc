#include "storage/list_table.h"

#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "base/numbers.h"

namespace quartet::storage {

namespace {

constexpr size_t kSmallestRing = 8;

size_t usable(const void* allocation) { return malloc_usable_size(const_cast<void*>(allocation)); }

size_t count_elements(std::string_view run) {
  size_t count = 0;
  for (size_t offset = 0; offset < run.size(); offset = packed::skip(run, offset)) ++count;
  return count;
}

}  // namespace

NodeLimit NodeLimit::from_setting(int64_t list_max_listpack_size) {
  constexpr size_t kBytesBesideCount = 8 * 1024, kSmallest = 4 * 1024;
  if (list_max_listpack_size >= 0)
    return {kBytesBesideCount, static_cast<size_t>(std::max<int64_t>(list_max_listpack_size, 1))};
  return {kSmallest << (std::min<int64_t>(-list_max_listpack_size, 5) - 1), SIZE_MAX};
}

ListTable::ListTable() : own_bytes_(usable(this)) {}

ListTable::~ListTable() {
  for (size_t i = 0; i < nodes_; ++i) std::free(at(i).block);
  std::free(ring_);
}

std::unique_ptr<ListTable> ListTable::clone(Pauses* pauses) const {
  auto copy = std::make_unique<ListTable>();
  for (size_t i = 0; i < nodes_; ++i) {
    breathe(pauses, work_of_bytes(at(i).bytes()));
    copy->append_run(at(i).elements(), at(i).count, {at(i).bytes(), SIZE_MAX});
  }
  return copy;
}

// Blocks

ListTable::Node ListTable::make_node(size_t capacity) {
  auto* block = static_cast<char*>(std::malloc(capacity));
  if (!block) throw std::bad_alloc();
  block_bytes_ += usable(block);
  return {block, static_cast<uint32_t>(capacity), 0, 0, 0};
}

void ListTable::free_block(const Node& node) {
  block_bytes_ -= usable(node.block);
  std::free(node.block);
}

void ListTable::move_block(Node& node, size_t capacity, size_t begin) {
  Node moved = make_node(capacity);
  moved.count = node.count;
  moved.begin = static_cast<uint32_t>(begin);
  moved.end = static_cast<uint32_t>(begin + node.bytes());
  std::memcpy(moved.block + begin, node.block + node.begin, node.bytes());
  free_block(node);
  node = moved;
}

void ListTable::cut(Node& node) {
  if (node.capacity - node.bytes() > node.capacity / 8) move_block(node, node.bytes(), 0);
}

// The ring

void ListTable::resize_ring(size_t capacity) {
  auto* ring = static_cast<Node*>(std::malloc(capacity * sizeof(Node)));
  if (!ring) throw std::bad_alloc();
  for (size_t i = 0; i < nodes_; ++i) ring[i] = at(i);
  std::free(ring_);
  ring_ = ring;
  ring_capacity_ = capacity;
  ring_bytes_ = usable(ring);
  first_ = 0;
}

ListTable::Node& ListTable::insert_node(size_t position, const Node& node) {
  if (nodes_ == ring_capacity_) resize_ring(std::max(kSmallestRing, 2 * ring_capacity_));
  // The shorter side makes way.
  if (position < nodes_ - position) {
    first_ = (first_ - 1) & (ring_capacity_ - 1);
    for (size_t i = 0; i < position; ++i) at(i) = at(i + 1);
  } else {
    for (size_t i = nodes_; i > position; --i) at(i) = at(i - 1);
  }
  ++nodes_;
  return at(position) = node;
}

void ListTable::erase_node(size_t position) {
  free_block(at(position));
  if (position < nodes_ - position - 1) {
    for (size_t i = position; i > 0; --i) at(i) = at(i - 1);
    first_ = (first_ + 1) & (ring_capacity_ - 1);
  } else {
    for (size_t i = position; i + 1 < nodes_; ++i) at(i) = at(i + 1);
  }
  --nodes_;
  if (ring_capacity_ > kSmallestRing && nodes_ * 4 < ring_capacity_) resize_ring(ring_capacity_ / 2);
}

// Both ends

bool ListTable::make_room(Node& node, End side, size_t bytes, const NodeLimit& limit) {
  if (node.room(side) >= bytes) return true;
  const bool grows = node.capacity < limit.bytes;
  // To move the elements to the other side of their block pays only where that wins room for many.
  if (!grows && node.capacity - node.bytes() < std::max<size_t>(bytes, node.capacity / 4)) return false;
  const size_t capacity = std::max<size_t>(node.capacity, limit.bytes);
  const size_t begin = side == End::Head ? capacity - node.bytes() : 0;
  if (grows) {
    move_block(node, capacity, begin);
  } else {
    std::memmove(node.block + begin, node.block + node.begin, node.bytes());
    node.end = static_cast<uint32_t>(begin + node.bytes());
    node.begin = static_cast<uint32_t>(begin);
  }
  return true;
}

void ListTable::push(End end, std::string_view value, const NodeLimit& limit) {
  const std::optional<int64_t> integer = parse_int(value);
  const size_t bytes = packed::element_size(value, integer);
  Node* node = nodes_ == 0 ? nullptr : &at(end == End::Head ? 0 : nodes_ - 1);
  if (!node || !fits(*node, bytes, limit) || !make_room(*node, end, bytes, limit)) {
    Node fresh = make_node(std::max(bytes, limit.bytes));
    if (end == End::Head) fresh.begin = fresh.end = fresh.capacity;
    node = &insert_node(end == End::Head ? 0 : nodes_, fresh);
    // The former end lies inside the list now and needs no more room, unless it is the other end too.
    if (nodes_ > 2) cut(at(end == End::Head ? 1 : nodes_ - 2));
  }
  if (end == End::Head) {
    node->begin -= static_cast<uint32_t>(bytes);
    packed::write_element(node->block + node->begin, value, integer);
  } else {
    packed::write_element(node->block + node->end, value, integer);
    node->end += static_cast<uint32_t>(bytes);
  }
  ++node->count;
  ++size_;
  element_bytes_ += bytes;
}

void ListTable::append_run(std::string_view elements, size_t count, const NodeLimit& limit) {
  Node node = make_node(std::max(elements.size(), limit.bytes));
  std::memcpy(node.block, elements.data(), elements.size());
  node.end = static_cast<uint32_t>(elements.size());
  node.count = static_cast<uint32_t>(count);
  insert_node(nodes_, node);
  size_ += count;
  element_bytes_ += elements.size();
}

size_t ListTable::work_of(End end, size_t count, size_t enough) const {
  size_t work = count;
  for (size_t i = 0; count > 0 && work < enough; ++i) {
    const Node& node = at(end == End::Head ? i : nodes_ - 1 - i);
    work += node.bytes() / kBytesOfWork;
    count -= std::min<size_t>(count, node.count);
  }
  return work;
}

void ListTable::drop(End end, size_t count) {
  assert(count <= size_);
  size_ -= count;
  while (count > 0) {
    const size_t position = end == End::Head ? 0 : nodes_ - 1;
    Node& node = at(position);
    if (count >= node.count) {
      count -= node.count;
      element_bytes_ -= node.bytes();
      erase_node(position);
      continue;
    }
    const std::string_view run = node.elements();
    const size_t before = node.bytes();
    node.count -= static_cast<uint32_t>(count);
    if (end == End::Head) {
      size_t offset = 0;
      for (; count > 0; --count) offset = packed::skip(run, offset);
      node.begin += static_cast<uint32_t>(offset);
    } else {
      size_t offset = run.size();
      for (; count > 0; --count) offset = packed::previous(run, offset);
      node.end = node.begin + static_cast<uint32_t>(offset);
    }
    element_bytes_ -= before - node.bytes();
  }
}

// Inside

ListTable::Place ListTable::locate(size_t index) const {
  assert(index < size_);
  size_t node;
  if (index < size_ / 2) {
    for (node = 0; index >= at(node).count; ++node) index -= at(node).count;
  } else {
    size_t behind = size_ - index;  // elements from the wanted one on
    for (node = nodes_ - 1; behind > at(node).count; --node) behind -= at(node).count;
    index = at(node).count - behind;
  }
  const std::string_view run = at(node).elements();
  const size_t count = at(node).count;
  size_t offset;
  if (index <= count / 2) {
    offset = 0;
    for (; index > 0; --index) offset = packed::skip(run, offset);
  } else {
    offset = run.size();
    for (; index < count; ++index) offset = packed::previous(run, offset);
  }
  return {node, offset};
}

char* ListTable::splice(Node& node, size_t offset, size_t old_bytes, size_t new_bytes) {
  element_bytes_ += new_bytes - old_bytes;
  const size_t tail = node.bytes() - offset - old_bytes;
  const size_t bytes = node.bytes() - old_bytes + new_bytes;
  if (new_bytes > old_bytes && new_bytes - old_bytes > node.room(End::Tail)) {
    // A little room is left for the next one.
    move_block(node, std::max<size_t>(node.capacity, bytes + std::min<size_t>(bytes / 8, 512)), 0);
  }
  char* at = node.block + node.begin + offset;
  std::memmove(at + new_bytes, at + old_bytes, tail);
  node.end = static_cast<uint32_t>(node.begin + bytes);
  return at;
}

void ListTable::split(size_t position, size_t offset) {
  Node& node = at(position);
  const std::string_view behind = node.elements().substr(offset);
  Node second = make_node(behind.size());
  std::memcpy(second.block, behind.data(), behind.size());
  second.end = static_cast<uint32_t>(behind.size());
  second.count = static_cast<uint32_t>(count_elements(behind));
  node.count -= second.count;
  node.end -= second.end;
  cut(node);
  insert_node(position + 1, second);
}

void ListTable::replace(Place place, std::string_view value, const NodeLimit& limit) {
  const std::optional<int64_t> integer = parse_int(value);
  const size_t bytes = packed::element_size(value, integer);
  auto [position, offset] = place;
  const size_t old_bytes = packed::skip(elements(position), offset) - offset;
  if (at(position).bytes() - old_bytes + bytes > std::max(limit.bytes, at(position).bytes())) {
    // The new value does not fit here, so the old one gets a node of its own first.
    if (offset + old_bytes < at(position).bytes()) split(position, offset + old_bytes);
    if (offset > 0) split(position++, offset);
    offset = 0;
  }
  packed::write_element(splice(at(position), offset, old_bytes, bytes), value, integer);
}

void ListTable::insert(Place place, bool before, std::string_view value, const NodeLimit& limit) {
  const std::optional<int64_t> integer = parse_int(value);
  const size_t bytes = packed::element_size(value, integer);
  size_t position = place.node;
  size_t offset = before ? place.offset : packed::skip(elements(position), place.offset);
  if (!fits(at(position), bytes, limit)) {
    // The value goes between two nodes: to the end of the first or the beginning of the second, else into one of its
    // own.
    if (offset > 0 && offset < at(position).bytes()) split(position, offset);
    const size_t second = offset == 0 ? position : position + 1;
    if (second > 0 && fits(at(second - 1), bytes, limit)) {
      position = second - 1;
      offset = at(position).bytes();
    } else {
      position = second;
      offset = 0;
      if (second == nodes_ || !fits(at(second), bytes, limit)) insert_node(second, make_node(bytes));
    }
  }
  Node& node = at(position);
  packed::write_element(splice(node, offset, 0, bytes), value, integer);
  ++node.count;
  ++size_;
}

bool ListTable::merge(Node& node, const Node& behind, const NodeLimit& limit) {
  const size_t bytes = node.bytes() + behind.bytes();
  if (bytes > limit.bytes / 2 || size_t{node.count} + behind.count > limit.elements) return false;
  if (node.room(End::Tail) < behind.bytes()) move_block(node, bytes, 0);
  std::memcpy(node.block + node.end, behind.block + behind.begin, behind.bytes());
  node.end += static_cast<uint32_t>(behind.bytes());
  node.count += behind.count;
  return true;
}

size_t ListTable::remove(packed::Removal removal, const NodeLimit& limit, Pauses* pauses) {
  size_t total = 0, kept = 0;
  for (size_t i = 0; i < nodes_; ++i) {
    Node node = at(i);
    breathe(pauses, work_of(i));
    size_t removed = 0;
    const size_t bytes = packed::remove_equal(node.block + node.begin, node.bytes(), removal, removed);
    element_bytes_ -= node.bytes() - bytes;
    node.end = static_cast<uint32_t>(node.begin + bytes);
    node.count -= static_cast<uint32_t>(removed);
    total += removed;
    if (node.count == 0 || (removed > 0 && kept > 0 && merge(at(kept - 1), node, limit))) {
      free_block(node);
      continue;
    }
    if (removed > 0) cut(node);
    at(kept++) = node;
  }
  nodes_ = kept;
  size_ -= total;
  return total;
}

}  // namespace quartet::storage
