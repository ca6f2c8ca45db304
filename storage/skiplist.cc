#include "storage/skiplist.h"

#include <malloc.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/hash.h"

namespace quartet::storage {

Skiplist::Skiplist() : random_state_(hash_secret() ^ reinterpret_cast<uint64_t>(this)) {
  head_ = allocate(kMaxHeight, 0, {});
  for (int level = 1; level < kMaxHeight; ++level) head_->link(level) = {nullptr, 0};
}

Skiplist::~Skiplist() {
  for (Node* node = head_; node;) {
    Node* next = node->next_;
    std::free(node);
    node = next;
  }
}

Skiplist::Node* Skiplist::allocate(int height, double score, std::string_view member) {
  static_assert(offsetof(Node, length_) + sizeof(Node::length_) == Node::kLinksOffset);
  const size_t bytes = Node::kLinksOffset + (static_cast<size_t>(height) - 1) * sizeof(Node::Link) + member.size();
  void* memory = std::malloc(std::max(bytes, sizeof(Node)));
  if (!memory) throw std::bad_alloc();
  Node* node = new (memory) Node;
  node->score_ = score;
  node->back_ = 0;
  node->height_ = static_cast<uint64_t>(height) & 0xff;
  node->next_ = nullptr;
  node->length_ = static_cast<uint32_t>(member.size());
  if (!member.empty()) std::memcpy(const_cast<char*>(node->member().data()), member.data(), member.size());
  bytes_ += malloc_usable_size(node);
  return node;
}

void Skiplist::release(Node* node) {
  bytes_ -= malloc_usable_size(node);
  std::free(node);
}

int Skiplist::random_height() {
  // splitmix64; two zero bits a level make p = 1/4.
  random_state_ += 0x9e3779b97f4a7c15;
  uint64_t bits = random_state_;
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
  bits ^= bits >> 31;
  return std::min(std::countr_zero(bits) / 2 + 1, kMaxHeight);
}

Skiplist::Node* Skiplist::at(size_t rank) const {
  assert(rank < size_);
  if (rank == size_ - 1) return tail_;
  Path path;
  seek_rank(rank + 1, path);
  return path.node[0];
}

size_t Skiplist::rank(const Node* node) const {
  // Onwards on the highest level that each node reaches: no comparison, and soon among nodes that are often visited.
  size_t behind = 0;
  while (node != tail_) {
    const int level = static_cast<int>(node->height_) - 1;
    behind += node->span(level);
    node = node->next(level);
    if (!node) break;
  }
  return size_ - 1 - behind;
}

void Skiplist::seek(double score, std::string_view member, Path& path) const {
  Node* node = head_;
  size_t rank = 0;
  for (int level = height_ - 1; level >= 0; --level) {
    Node* next;
    while ((next = node->next(level)) && (prefetch_below(node, level), next->before(score, member))) {
      rank += node->span(level);
      node = next;
    }
    path.node[level] = node;
    path.rank[level] = rank;
  }
}

void Skiplist::seek_rank(size_t rank, Path& path) const {
  Node* node = head_;
  size_t passed = 0;
  for (int level = height_ - 1; level >= 0; --level) {
    while (passed < rank && node->next(level) && passed + node->span(level) <= rank) {
      passed += node->span(level);
      node = node->next(level);
    }
    path.node[level] = node;
    path.rank[level] = passed;
  }
}

void Skiplist::link(Node* node, Path& path) {
  const int height = static_cast<int>(node->height_);
  for (; height_ < height; ++height_) {
    head_->link(height_) = {nullptr, static_cast<uint32_t>(size_)};
    path.node[height_] = head_;
    path.rank[height_] = 0;
  }
  Node* before = path.node[0];
  node->next_ = before->next_;
  before->next_ = node;
  node->set_back(before == head_ ? nullptr : before);
  if (node->next_) {
    node->next_->set_back(node);
  } else {
    tail_ = node;
  }
  for (int level = 1; level < height; ++level) {
    Node::Link& link = path.node[level]->link(level);
    const auto distance = static_cast<uint32_t>(path.rank[0] - path.rank[level]);
    node->link(level) = {link.next, link.span - distance};
    link = {node, distance + 1};
  }
  for (int level = height; level < height_; ++level) ++path.node[level]->link(level).span;
  ++size_;
}

void Skiplist::unlink(Node* node, const Path& path) {
  const int height = static_cast<int>(node->height_);
  path.node[0]->next_ = node->next_;
  if (node->next_) {
    node->next_->set_back(node->back());
  } else {
    tail_ = node->back();
  }
  for (int level = 1; level < height; ++level) {
    Node::Link& link = path.node[level]->link(level);
    link = {node->link(level).next, link.span + node->link(level).span - 1};
  }
  for (int level = height; level < height_; ++level) --path.node[level]->link(level).span;
  --size_;
  while (height_ > 1 && !head_->link(height_ - 1).next) --height_;
}

Skiplist::Node* Skiplist::insert(double score, std::string_view member) {
  assert(size_ < kMaxSize);
  Path path;
  seek(score, member, path);
  Node* node = allocate(random_height(), score, member);
  link(node, path);
  return node;
}

Skiplist::Node* Skiplist::append(double score, std::string_view member, Path& end) {
  assert(size_ < kMaxSize && end.rank[0] == size_);
  assert(!tail_ || tail_->before(score, member));
  Node* node = allocate(random_height(), score, member);
  link(node, end);
  for (int level = 0; level < static_cast<int>(node->height_); ++level) {
    end.node[level] = node;
    end.rank[level] = size_;
  }
  return node;
}

void Skiplist::erase(Node* node) {
  Path path;
  seek(node->score_, node->member(), path);
  assert(path.node[0]->next_ == node);
  unlink(node, path);
  release(node);
}

void Skiplist::set_score(Node* node, double score) {
  const std::string_view member = node->member();
  const Node* back = node->back();
  const Node* next = node->next_;
  if ((!back || back->before(score, member)) && (!next || !next->before(score, member))) {
    node->score_ = score;
    return;
  }
  Path path;
  seek(node->score_, member, path);
  assert(path.node[0]->next_ == node);
  unlink(node, path);
  node->score_ = score;
  seek(score, member, path);
  link(node, path);
}

}  // namespace quartet::storage
