#include "storage/scored_block.h"

#include <algorithm>
#include <cassert>

namespace quartet::storage {

namespace {

/// The parts of a block that is being changed.
struct Parts {
  Parts(char* block, size_t size) : slots(block + ScoredBlock::kHeaderBytes), members(slot(size)) {}

  char* slot(size_t rank) const { return slots + rank * ScoredBlock::kSlotBytes; }
  size_t begin(size_t rank) const { return rank == 0 ? 0 : end(rank - 1); }
  size_t end(size_t rank) const {
    uint16_t value;
    std::memcpy(&value, slot(rank) + 8, 2);
    return value;
  }
  void set(size_t rank, double score, size_t end) const {
    score += 0.0;  // makes 0 of -0
    std::memcpy(slot(rank), &score, 8);
    set_end(rank, end);
  }
  void set_end(size_t rank, size_t end) const {
    const auto value = static_cast<uint16_t>(end);
    std::memcpy(slot(rank) + 8, &value, 2);
  }

  char* slots;
  char* members;
};

/// What std::rotate(first, first + left, last) does, in two copies and a move where one of the parts is short.
void rotate(char* first, size_t left, char* last) {
  constexpr size_t kShort = 128;
  char kept[kShort];
  const size_t right = static_cast<size_t>(last - first) - left;
  if (left <= kShort) {
    std::memcpy(kept, first, left);
    std::memmove(first, first + left, right);
    std::memcpy(first + right, kept, left);
  } else if (right <= kShort) {
    std::memcpy(kept, first + left, right);
    std::memmove(first + right, first, left);
    std::memcpy(first, kept, right);
  } else {
    std::rotate(first, first + left, last);
  }
}

void set_size(char* block, size_t size) {
  const auto value = static_cast<uint16_t>(size);
  std::memcpy(block, &value, 2);
}

}  // namespace

std::optional<size_t> ScoredBlock::find(std::string_view wanted) const {
  const size_t count = size();
  const char* members = bytes_.data() + kHeaderBytes + count * kSlotBytes;
  size_t begin = 0;
  for (size_t rank = 0; rank < count; ++rank) {
    const size_t end = load16(slot(rank) + 8);
    if (end - begin == wanted.size() && std::memcmp(members + begin, wanted.data(), wanted.size()) == 0) return rank;
    begin = end;
  }
  return std::nullopt;
}

size_t ScoredBlock::lower_bound(double score, std::string_view member) const {
  return partition_point([&](std::string_view m, double s) { return scored_less(s, m, score, member); });
}

void ScoredBlock::insert(char* block, size_t size, size_t rank, std::string_view member, double score) {
  assert(rank <= size && size < kMaxSize);
  const Parts old(block, size), parts(block, size + 1);
  const size_t at = old.begin(rank), all = old.begin(size);
  assert(all + member.size() <= kMaxMemberBytes);
  // From back to front, so that nothing is overwritten before it has moved.
  std::memmove(parts.members + at + member.size(), old.members + at, all - at);
  std::memmove(parts.members, old.members, at);
  std::memcpy(parts.members + at, member.data(), member.size());
  std::memmove(parts.slot(rank + 1), parts.slot(rank), (size - rank) * kSlotBytes);
  parts.set(rank, score, at + member.size());
  for (size_t i = rank + 1; i <= size; ++i) parts.set_end(i, parts.end(i) + member.size());
  set_size(block, size + 1);
}

void ScoredBlock::erase(char* block, size_t rank, size_t count) {
  const size_t size = load16(block);
  assert(rank + count <= size);
  if (count == 0) return;
  const Parts old(block, size), parts(block, size - count);
  const size_t begin = old.begin(rank), end = old.begin(rank + count), all = old.begin(size);
  std::memmove(parts.slot(rank), parts.slot(rank + count), (size - rank - count) * kSlotBytes);
  for (size_t i = rank; i < size - count; ++i) parts.set_end(i, parts.end(i) - (end - begin));
  std::memmove(parts.members, old.members, begin);
  std::memmove(parts.members + begin, old.members + end, all - end);
  set_size(block, size - count);
}

void ScoredBlock::move(char* block, size_t from, size_t to, double score) {
  const Parts parts(block, load16(block));
  const size_t low = std::min(from, to), high = std::max(from, to) + 1;
  const size_t length = parts.end(from) - parts.begin(from);
  const size_t first = parts.begin(low), last = parts.begin(high);
  if (from < to) {
    rotate(parts.members + first, length, parts.members + last);
    rotate(parts.slot(low), kSlotBytes, parts.slot(high));
  } else if (to < from) {
    rotate(parts.members + first, last - length - first, parts.members + last);
    rotate(parts.slot(low), (high - 1 - low) * kSlotBytes, parts.slot(high));
  }
  // Those that were passed have shifted by the length of the member that moved.
  const size_t shift = from < to ? size_t{0} - length : length;
  for (size_t i = low; i < high; ++i) parts.set_end(i, parts.end(i) + shift);
  parts.set(to, score, parts.begin(to) + length);
}

}  // namespace quartet::storage
