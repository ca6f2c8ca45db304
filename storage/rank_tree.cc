#include "storage/rank_tree.h"

#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/slab.h"

namespace quartet::storage {

namespace {

/// Makes room for `gap` elements at `at` in the first `count` of an array.
template <class T>
void open_gap(T* array, size_t count, size_t at, size_t gap = 1) {
  std::memmove(array + at + gap, array + at, (count - at) * sizeof(T));
}
/// Closes over `gap` elements at `at`.
template <class T>
void close_gap(T* array, size_t count, size_t at, size_t gap = 1) {
  std::memmove(array + at, array + at + gap, (count - at - gap) * sizeof(T));
}
template <class T>
void copy(T* to, const T* from, size_t count) {
  std::memcpy(to, from, count * sizeof(T));
}

}  // namespace

RankTree::RankTree() : root_(new_node<Leaf>()) {}
RankTree::~RankTree() { destroy(root_, height_); }

RankTree::Item* RankTree::allocate(double score, std::string_view member) {
  void* memory = blocks::allocate(sizeof(Item) + member.size());
  Item* item = new (memory) Item;
  item->score_ = score;
  item->length_ = static_cast<uint32_t>(member.size());
  if (!member.empty()) std::memcpy(static_cast<char*>(memory) + sizeof(Item), member.data(), member.size());
  bytes_ += blocks::size(item, item->bytes());
  return item;
}

void RankTree::release(Item* item) {
  bytes_ -= blocks::size(item, item->bytes());
  blocks::free(item, item->bytes());
}

template <class T>
T* RankTree::new_node() {
  void* memory = std::malloc(sizeof(T));
  if (!memory) throw std::bad_alloc();
  bytes_ += malloc_usable_size(memory);
  return new (memory) T;
}

template <class T>
void RankTree::free_node(T* node) {
  bytes_ -= malloc_usable_size(node);
  std::free(node);
}

void RankTree::destroy(Node* node, size_t height) {
  if (height == 0) {
    for (size_t i = 0; i < node->count; ++i) {
      Item* item = static_cast<Leaf*>(node)->item[i];
      blocks::free(item, item->bytes());
    }
  } else {
    for (size_t i = 0; i < node->count; ++i) destroy(static_cast<Inner*>(node)->child[i], height - 1);
  }
  std::free(node);
}

size_t RankTree::count_up_to(const double* scores, Item* const* items, size_t count, const Item* wanted) {
  const double score = wanted->score_;
  // By score alone first: without branches that the processor would have to guess, and without touching an item.
  const double* low = scores;
  for (size_t left = count; left > 0;) {
    const size_t half = (left + 1) / 2;
    low += low[half - 1] < score ? half : 0;
    left -= half;
  }
  const auto below = static_cast<size_t>(low - scores);
  if (below == count || scores[below] > score) return below;
  const std::string_view member = wanted->member();
  const auto is_up_to = [&](const Item* item, double item_score) {
    return item_score <= score && (item == wanted || item->member() <= member);
  };
  return below + count_before(scores + below, items + below, count - below, is_up_to);
}

RankTree::Cursor RankTree::at(size_t rank) const {
  assert(rank < size_);
  Path path;
  seek_rank(rank, path);
  return {path.leaf, path.index};
}

size_t RankTree::rank(const Item* item) const {
  Path path;
  seek(item, path);
  size_t rank = path.index - 1;
  for (size_t level = 0; level < height_; ++level) rank += items_before(*path.step[level].node, path.step[level].index);
  return rank;
}

void RankTree::seek(const Item* item, Path& path) const {
  Node* node = root_;
  for (size_t level = height_; level > 0; --level) {
    auto* inner = static_cast<Inner*>(node);
    const size_t up_to = count_up_to(inner->score, inner->item, inner->count, item);
    const size_t child = up_to > 0 ? up_to - 1 : 0;
    path.step[level - 1] = {inner, child};
    node = inner->child[child];
    prefetch(node);
  }
  path.leaf = static_cast<Leaf*>(node);
  path.index = count_up_to(path.leaf->score, path.leaf->item, node->count, item);
}

void RankTree::seek_rank(size_t rank, Path& path) const {
  Node* node = root_;
  for (size_t level = height_; level > 0; --level) {
    auto* inner = static_cast<Inner*>(node);
    size_t child = 0;
    while (rank >= inner->below[child]) rank -= inner->below[child++];
    path.step[level - 1] = {inner, child};
    node = inner->child[child];
  }
  path.leaf = static_cast<Leaf*>(node);
  path.index = rank;
}

RankTree::Item* RankTree::insert(double score, std::string_view member) {
  assert(size_ < kMaxSize);
  Item* item = allocate(score, member);
  place(item);
  return item;
}

void RankTree::place(Item* item) {
  Path path;
  seek(item, path);
  for (size_t level = 0; level < height_; ++level) ++path.step[level].node->below[path.step[level].index];
  ++size_;

  Leaf* leaf = path.leaf;
  size_t at = path.index;
  Leaf* right = nullptr;
  if (leaf->count == kLeafItems) {
    // At either end of the order the next item will probably go there too: the full leaf is left full.
    const size_t keep = at == kLeafItems && !leaf->next ? kLeafItems : at == 0 && !leaf->back ? 0 : kLeafItems / 2;
    right = new_node<Leaf>();
    right->count = kLeafItems - keep;
    copy(right->score, leaf->score + keep, right->count);
    copy(right->item, leaf->item + keep, right->count);
    leaf->count = keep;
    right->next = leaf->next;
    right->back = leaf;
    if (right->next) right->next->back = right;
    leaf->next = right;
    if (at > keep || keep == kLeafItems) {
      leaf = right;
      at -= keep;
    }
  }
  open_gap(leaf->score, leaf->count, at);
  open_gap(leaf->item, leaf->count, at);
  leaf->score[at] = item->score_;
  leaf->item[at] = item;
  ++leaf->count;
  if (at == 0 && leaf != right) set_lowest(path, 0, item->score_, item);
  if (right) add_child(path, 0, right, right->score[0], right->item[0], right->count);
}

void RankTree::add_child(Path& path, size_t level, Node* child, double score, Item* item, size_t below) {
  if (level == height_) {
    assert(height_ < kMaxHeight);
    auto* root = new_node<Inner>();
    const auto* leaf = static_cast<Leaf*>(root_);
    const auto* inner = static_cast<Inner*>(root_);
    root->count = 1;
    root->score[0] = height_ == 0 ? leaf->score[0] : inner->score[0];
    root->item[0] = height_ == 0 ? leaf->item[0] : inner->item[0];
    root->child[0] = root_;
    root->below[0] = static_cast<uint32_t>(size_);
    path.step[level] = {root, 0};
    root_ = root;
    ++height_;
  }
  Inner* parent = path.step[level].node;
  // The sibling's count still includes what has moved to the new child.
  parent->below[path.step[level].index] -= static_cast<uint32_t>(below);
  size_t at = path.step[level].index + 1;
  Inner* right = nullptr;
  if (parent->count == kChildren) {
    const size_t keep = at == kChildren ? kChildren : kChildren / 2;
    right = new_node<Inner>();
    right->count = kChildren - keep;
    copy(right->score, parent->score + keep, right->count);
    copy(right->item, parent->item + keep, right->count);
    copy(right->child, parent->child + keep, right->count);
    copy(right->below, parent->below + keep, right->count);
    parent->count = keep;
    if (at > keep || keep == kChildren) {
      parent = right;
      at -= keep;
    }
  }
  open_gap(parent->score, parent->count, at);
  open_gap(parent->item, parent->count, at);
  open_gap(parent->child, parent->count, at);
  open_gap(parent->below, parent->count, at);
  parent->score[at] = score;
  parent->item[at] = item;
  parent->child[at] = child;
  parent->below[at] = static_cast<uint32_t>(below);
  ++parent->count;
  if (right)
    add_child(path, level + 1, right, right->score[0], right->item[0], items_before(*right, right->count));
}

void RankTree::set_lowest(Path& path, size_t level, double score, Item* item) {
  for (; level < height_; ++level) {
    const auto [node, index] = path.step[level];
    node->score[index] = score;
    node->item[index] = item;
    if (index > 0) break;
  }
}

void RankTree::erase(Item* item) {
  Path path;
  seek(item, path);
  --path.index;
  assert(path.leaf->item[path.index] == item);
  take_out(path, 1);
  release(item);
}

void RankTree::set_score(Item* item, double score) {
  Path path;
  seek(item, path);
  --path.index;
  Leaf* leaf = path.leaf;
  const size_t at = path.index;
  assert(leaf->item[at] == item);
  // The leaves know the neighbours' scores; a neighbour itself is read only where the scores are equal.
  const auto is_before_place = [&](const Leaf* other, size_t i) {
    return other->score[i] < score || (other->score[i] == score && other->item[i]->member() < item->member());
  };
  const bool above_back =
      at > 0 ? is_before_place(leaf, at - 1) : !leaf->back || is_before_place(leaf->back, leaf->back->count - 1);
  const bool below_next =
      at + 1 < leaf->count ? !is_before_place(leaf, at + 1) : !leaf->next || !is_before_place(leaf->next, 0);
  if (above_back && below_next) {
    item->score_ = leaf->score[at] = score;
    if (at == 0) set_lowest(path, 0, score, item);
    return;
  }
  take_out(path, 1);
  item->score_ = score;
  place(item);
}

void RankTree::take_out(Path& path, size_t count) {
  for (size_t level = 0; level < height_; ++level)
    path.step[level].node->below[path.step[level].index] -= static_cast<uint32_t>(count);
  size_ -= count;
  Leaf* leaf = path.leaf;
  close_gap(leaf->score, leaf->count, path.index, count);
  close_gap(leaf->item, leaf->count, path.index, count);
  leaf->count -= count;
  if (height_ == 0) return;
  if (leaf->count == 0) {
    if (leaf->back) leaf->back->next = leaf->next;
    if (leaf->next) leaf->next->back = leaf->back;
    free_node(leaf);
    remove_child(path, 0);
  } else {
    if (path.index == 0) set_lowest(path, 0, leaf->score[0], leaf->item[0]);
    if (leaf->count < kLeafItems / 4) merge(path, 0);
  }
  lower_root();
}

void RankTree::remove_child(Path& path, size_t level) {
  const auto [node, index] = path.step[level];
  close_gap(node->score, node->count, index);
  close_gap(node->item, node->count, index);
  close_gap(node->child, node->count, index);
  close_gap(node->below, node->count, index);
  if (--node->count == 0) {
    free_node(node);
    remove_child(path, level + 1);
    return;
  }
  if (index == 0) set_lowest(path, level + 1, node->score[0], node->item[0]);
  if (node->count < kChildren / 4 && level + 1 < height_) merge(path, level + 1);
}

void RankTree::merge(Path& path, size_t level) {
  const auto [parent, index] = path.step[level];
  const bool leaves = level == 0;
  if (!(index > 0 && merge_children(*parent, index - 1, leaves)) && !merge_children(*parent, index, leaves)) return;
  if (parent->count < kChildren / 4 && level + 1 < height_) merge(path, level + 1);
}

bool RankTree::merge_children(Inner& parent, size_t left, bool leaves) {
  const size_t right = left + 1;
  if (right >= parent.count) return false;
  const size_t moved = parent.child[right]->count, kept = parent.child[left]->count;
  if (kept + moved > (leaves ? kLeafItems : kChildren)) return false;
  if (leaves) {
    auto* to = static_cast<Leaf*>(parent.child[left]);
    auto* from = static_cast<Leaf*>(parent.child[right]);
    copy(to->score + kept, from->score, moved);
    copy(to->item + kept, from->item, moved);
    to->next = from->next;
    if (to->next) to->next->back = to;
    free_node(from);
  } else {
    auto* to = static_cast<Inner*>(parent.child[left]);
    auto* from = static_cast<Inner*>(parent.child[right]);
    copy(to->score + kept, from->score, moved);
    copy(to->item + kept, from->item, moved);
    copy(to->child + kept, from->child, moved);
    copy(to->below + kept, from->below, moved);
    free_node(from);
  }
  parent.child[left]->count += moved;
  parent.below[left] += parent.below[right];
  close_gap(parent.score, parent.count, right);
  close_gap(parent.item, parent.count, right);
  close_gap(parent.child, parent.count, right);
  close_gap(parent.below, parent.count, right);
  --parent.count;
  return true;
}

void RankTree::lower_root() {
  while (height_ > 0 && root_->count == 1) {
    auto* old = static_cast<Inner*>(root_);
    root_ = old->child[0];
    free_node(old);
    --height_;
  }
}

}  // namespace quartet::storage
