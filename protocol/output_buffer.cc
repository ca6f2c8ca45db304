#include "protocol/output_buffer.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <new>
#include <utility>

namespace quartet::protocol {

namespace {

/// A filled place and the run behind it become one run again where the run is at most this long: moving it costs less
/// than sending two segments.
constexpr size_t kMergeBytes = 1024;
/// Consumed segments are removed from the front once there are this many, so that the removal costs little for each.
constexpr size_t kConsumedSegments = 64;

}  // namespace

BlockPool::~BlockPool() {
  for (char* block : free_) ::operator delete(block);
}

char* BlockPool::take() {
  if (free_.empty()) return static_cast<char*>(::operator new(kBlockBytes));
  char* block = free_.back();
  free_.pop_back();
  return block;
}

void BlockPool::give(char* block) {
  if (free_.size() < kKeptBlocks) {
    free_.push_back(block);
  } else {
    ::operator delete(block);
  }
}

void OutputBuffer::append_slow(std::string_view bytes) {
  while (!bytes.empty()) {
    if (room() == 0) start_block();
    const size_t n = std::min(room(), bytes.size());
    std::memcpy(cursor_, bytes.data(), n);
    commit(n);
    bytes.remove_prefix(n);
  }
}

/// Begins a run in a fresh block; what was free in the last one stays unused.
void OutputBuffer::start_block() {
  if (spare_ || exceeds(BlockPool::kBlockBytes)) return drop_from_here();
  end_run();
  char* block = pool_.take();
  segments_.push_back({block, 0, block, true, {}});
  held_ += BlockPool::kBlockBytes;
  cursor_ = block;
  limit_ = block + BlockPool::kBlockBytes;
}

/// The cursor goes to the beginning of the spare block, which is written over.
void OutputBuffer::drop_from_here() {
  if (!spare_) {
    spare_ = pool_.take();
    end_run();
    kept_ = size_;
  }
  cursor_ = spare_;
  limit_ = spare_ + BlockPool::kBlockBytes;
}

void OutputBuffer::end_overrun() {
  if (!spare_) return;
  pool_.give(std::exchange(spare_, nullptr));
  size_ = kept_;
  cursor_ = limit_ = nullptr;
}

/// Fixes the length of the last run; it cannot grow after that.
void OutputBuffer::end_run() {
  if (!cursor_) return;
  Segment& run = segments_.back();
  run.length = static_cast<size_t>(cursor_ - run.data);
  cursor_ = limit_ = nullptr;
}

/// Begins another run at the cursor, in the block of the last one. REQUIRES: cursor_ is set.
void OutputBuffer::split_run() {
  segments_.push_back({cursor_, 0, segments_.back().block, true, {}});
  Segment& run = segments_[segments_.size() - 2];
  run.length = static_cast<size_t>(cursor_ - run.data);
  run.owner = false;
}

void OutputBuffer::append_shared(const SharedBytes& bytes) {
  if (bytes.size() < kReferenceBytes) return append(bytes.view());
  if (spare_ || exceeds(bytes.capacity())) return drop_from_here();
  Segment reference{bytes.data(), bytes.size(), nullptr, false, bytes};
  if (cursor_) {
    // The reference goes between what the block holds and what it has still room for.
    split_run();
    segments_.insert(segments_.end() - 1, std::move(reference));
  } else {
    segments_.push_back(std::move(reference));
  }
  size_ += bytes.size();
  held_ += bytes.capacity();
}

void OutputBuffer::take(OutputBuffer& other) {
  if (!other.spare_ && other.size_ <= kMergeBytes) {
    for (size_t i = other.first_; i < other.segments_.size(); ++i)
      append({other.segments_[i].data, other.length_of(i)});
    return other.clear();
  }
  if (spare_ || other.spare_ || exceeds(other.counted())) {
    drop_from_here();
    return other.clear();
  }
  end_run();
  segments_.insert(segments_.end(),
                   std::make_move_iterator(other.segments_.begin() + static_cast<ptrdiff_t>(other.first_)),
                   std::make_move_iterator(other.segments_.end()));
  size_ += other.size_;
  held_ += other.held_;
  // What the other one's last block has still room for is filled from here.
  cursor_ = other.cursor_;
  limit_ = other.limit_;
  other.segments_.clear();
  other.first_ = other.size_ = other.held_ = 0;
  other.cursor_ = other.limit_ = nullptr;
}

OutputBuffer::Place OutputBuffer::defer() {
  reserve(kDeferredBytes);
  if (spare_) return 0;
  const Place place = segments_.size() - 1;
  // The place is the end of the run that is there; the next run leaves a gap for it to grow into.
  split_run();
  cursor_ += kDeferredBytes;
  segments_.back().data = cursor_;
  return place;
}

void OutputBuffer::fill(Place place, std::string_view bytes) {
  if (spare_) return;
  assert(bytes.size() <= kDeferredBytes && place >= first_ && place < segments_.size());
  Segment& run = segments_[place];
  char* end = const_cast<char*>(run.data) + run.length;
  std::memcpy(end, bytes.data(), bytes.size());
  end += bytes.size();
  run.length += bytes.size();
  size_ += bytes.size();

  if (place + 2 != segments_.size() || !cursor_) return;
  const Segment& behind = segments_.back();
  const size_t length = static_cast<size_t>(cursor_ - behind.data);
  if (behind.block != run.block || length > kMergeBytes) return;
  std::memmove(end, behind.data, length);
  cursor_ = end + length;
  run.owner = true;
  segments_.pop_back();
}

void OutputBuffer::truncate(size_t size) {
  assert(size <= this->size());
  end_overrun();
  size_t excess = size_ - size;
  if (excess == 0) return;
  end_run();
  while (segments_.back().length < excess) {
    excess -= segments_.back().length;
    drop_last();
  }
  Segment& last = segments_.back();
  if (last.block) {
    last.length -= excess;
    cursor_ = const_cast<char*>(last.data) + last.length;
    limit_ = last.block + BlockPool::kBlockBytes;
  } else if (last.length == excess) {
    drop_last();
  } else {
    last.length -= excess;
  }
  size_ = size;
}

/// Lets go of what the segment holds; the caller removes it.
void OutputBuffer::drop(Segment& segment) {
  if (segment.shared) {
    held_ -= segment.shared.capacity();
    segment.shared = {};
  } else if (segment.owner) {
    held_ -= BlockPool::kBlockBytes;
    pool_.give(segment.block);
  }
}

/// Removes the last segment; an earlier one in its block becomes the owner. REQUIRES: cursor_ is null.
void OutputBuffer::drop_last() {
  Segment last = std::move(segments_.back());
  segments_.pop_back();
  if (last.owner) {
    for (size_t i = segments_.size(); i-- > first_;) {
      if (!segments_[i].block) continue;
      last.owner = segments_[i].block != last.block;
      if (!last.owner) segments_[i].owner = true;
      break;
    }
  }
  drop(last);
}

size_t OutputBuffer::gather(iovec* vectors, size_t count, size_t most) const {
  assert(!spare_);
  size_t filled = 0;
  for (size_t i = first_; i < segments_.size() && filled < count && most > 0; ++i) {
    const size_t length = std::min(length_of(i), most);
    if (length == 0) continue;
    vectors[filled++] = {const_cast<char*>(segments_[i].data), length};
    most -= length;
  }
  return filled;
}

void OutputBuffer::consume(size_t n) {
  assert(!spare_ && n <= size_);
  if (n == size_) return clear();
  size_ -= n;
  // Some bytes are left, so the loop ends before the last segment does.
  for (size_t length; (length = length_of(first_)) <= n; ++first_) {
    n -= length;
    drop(segments_[first_]);
  }
  segments_[first_].data += n;
  // The length of the growing run is derived from its data, which is enough for it.
  segments_[first_].length -= n;
  if (first_ >= kConsumedSegments && first_ * 2 >= segments_.size()) {
    segments_.erase(segments_.begin(), segments_.begin() + static_cast<ptrdiff_t>(first_));
    first_ = 0;
  }
}

void OutputBuffer::clear() {
  end_overrun();
  for (size_t i = first_; i < segments_.size(); ++i) drop(segments_[i]);
  segments_.clear();
  if (segments_.capacity() > kKeptSegments) segments_ = std::vector<Segment>();  // from {} it would keep its room
  first_ = size_ = 0;
  cursor_ = limit_ = nullptr;
}

std::string OutputBuffer::to_string() const {
  assert(!spare_);
  std::string text;
  text.reserve(size_);
  for (size_t i = first_; i < segments_.size(); ++i) text.append(segments_[i].data, length_of(i));
  return text;
}

}  // namespace quartet::protocol
