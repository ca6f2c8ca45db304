#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <sys/uio.h>

#include "base/shared_bytes.h"

namespace quartet::protocol {

/// The blocks that output buffers are made of, kept for reuse by all the buffers of one loop, so that an idle
/// connection holds none. Not thread-safe. Outlives its buffers.
class BlockPool {
 public:
  static constexpr size_t kBlockBytes = 16 * 1024;
  /// Blocks beyond this many are given back to the allocator.
  static constexpr size_t kKeptBlocks = 64;

  BlockPool() = default;
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool();

  /// An uninitialised block of kBlockBytes. Throws std::bad_alloc.
  char* take();
  void give(char* block);
  /// Bytes of the blocks that are kept.
  size_t memory() const { return free_.size() * kBlockBytes; }

 private:
  std::vector<char*> free_;
};

/// Bytes on their way to one client: blocks that are filled in order, and references to long values that are sent from
/// where they lie.
///
/// A segment is one contiguous run of bytes. Several segments may lie in one block, because a reference or a deferred
/// place between two runs does not end the block; the last of them owns it:
///
///     block A                                     block B
///     +--------+- - -+-----------+-------------+  +---------+----------------+
///     | run    | gap | run       | run (owner) |  | run     | free           |
///     +--------+- - -+-----------+-------------+  +---------+----------------+
///              ^place            ^reference                 ^cursor_         ^limit_
///
/// A buffer can have a bound. Where an append would exceed it, everything from there on is dropped (`overrun`): the
/// cursor then runs through one spare block, again and again, so that whoever writes need not look. It costs a
/// comparison for each new block.
class OutputBuffer {
 public:
  /// References to fewer bytes than this are copied instead: a segment costs the kernel about as much as the copy.
  static constexpr size_t kReferenceBytes = 8 * 1024;

  explicit OutputBuffer(BlockPool& pool) : pool_(pool) {}
  OutputBuffer(const OutputBuffer&) = delete;
  OutputBuffer& operator=(const OutputBuffer&) = delete;
  ~OutputBuffer() { clear(); }

  BlockPool& pool() const { return pool_; }
  bool empty() const { return size() == 0; }
  /// Bytes appended, neither dropped nor consumed.
  size_t size() const { return spare_ ? kept_ : size_; }
  /// Memory held by the buffer, in bytes; referenced values count, because the client keeps them alive.
  size_t memory() const {
    return held_ + segments_.capacity() * sizeof(Segment) + (spare_ ? BlockPool::kBlockBytes : 0);
  }

  /// What limits count: the memory beyond the first block, in bytes. A client that reads what it gets has no more than
  /// that one.
  size_t beyond_first() const { return counted() - std::min(counted(), kFreeBytes); }
  /// Lets `beyond_first` grow to this many bytes. What is there already stays.
  void set_bound(size_t bytes) { most_ = bytes > SIZE_MAX - kFreeBytes ? SIZE_MAX : bytes + kFreeBytes; }
  size_t bound() const { return most_ == SIZE_MAX ? SIZE_MAX : most_ - kFreeBytes; }
  /// Bytes were dropped, and all that follow are, until truncate or clear. What is there ends anywhere in a reply.
  /// REQUIRES of all other functions that are not for appending: not overrun().
  bool overrun() const { return spare_ != nullptr; }

  void append(std::string_view bytes) {
    if (bytes.size() > room()) return append_slow(bytes);
    if (bytes.empty()) return;  // neither the view nor the cursor need point anywhere
    std::memcpy(cursor_, bytes.data(), bytes.size());
    commit(bytes.size());
  }
  /// Room for `n` contiguous bytes (n <= kBlockBytes), of which `commit` appends the first ones.
  char* reserve(size_t n) {
    if (n > room()) start_block();
    return cursor_;
  }
  void commit(size_t n) {
    cursor_ += n;
    size_ += n;
  }
  /// Appends all that the other one holds, which is empty then. REQUIRES: they are of one pool; `other` has no open
  /// place.
  void take(OutputBuffer& other);
  /// Appends without copying, from kReferenceBytes on.
  void append_shared(const SharedBytes& bytes);

  /// A place for bytes that become known only after those that follow (the length of an array). `fill` writes them
  /// (at most kDeferredBytes), exactly once, before anything is consumed. Places are filled in any order.
  static constexpr size_t kDeferredBytes = 32;
  using Place = size_t;
  Place defer();
  void fill(Place place, std::string_view bytes);

  /// Forgets everything that was appended after size() was `size`, and ends an overrun. REQUIRES: since then nothing
  /// was consumed and no place filled that was opened before; no open place lies behind.
  void truncate(size_t size);

  /// Fills up to `count` vectors with the first pending bytes, `most` of them at most, and returns how many it filled.
  /// They stay valid until the next call of a function that is not const.
  size_t gather(iovec* vectors, size_t count, size_t most = SIZE_MAX) const;
  /// Drops the first `n` bytes: they were sent. REQUIRES: n <= size().
  void consume(size_t n);
  void clear();
  /// Everything pending as one string, for scripts and tests.
  std::string to_string() const;

 private:
  struct Segment {
    const char* data;
    size_t length;          // of the last segment while cursor_ is set: not kept, see length_of
    char* block = nullptr;  // null where `shared` is set
    bool owner = false;     // of `block`: no later segment lies in it
    SharedBytes shared;
  };

  /// That the bound does not count, in bytes: a block, and an empty buffer's room for segments.
  static constexpr size_t kKeptSegments = 16;
  static constexpr size_t kFreeBytes = BlockPool::kBlockBytes + kKeptSegments * sizeof(Segment);

  size_t counted() const { return held_ + segments_.size() * sizeof(Segment); }
  bool exceeds(size_t more) const { return counted() > most_ || most_ - counted() < more; }
  void drop_from_here();
  void end_overrun();
  size_t room() const { return static_cast<size_t>(limit_ - cursor_); }
  size_t length_of(size_t index) const {
    const Segment& segment = segments_[index];
    return cursor_ && index + 1 == segments_.size() ? static_cast<size_t>(cursor_ - segment.data) : segment.length;
  }
  void append_slow(std::string_view bytes);
  void start_block();
  void end_run();
  void split_run();
  void drop(Segment& segment);
  void drop_last();

  BlockPool& pool_;
  std::vector<Segment> segments_;
  size_t first_ = 0;  // segments before this one are consumed
  size_t size_ = 0;
  size_t held_ = 0;  // bytes of the blocks and referenced values of segments_
  // Where the last segment ends and its block does; both null unless the last segment is a run that can grow.
  char* cursor_ = nullptr;
  char* limit_ = nullptr;
  size_t most_ = SIZE_MAX;  // of counted(), in bytes
  // Set while overrun: where the cursor runs instead, and what size_ was before.
  char* spare_ = nullptr;
  size_t kept_ = 0;
};

}  // namespace quartet::protocol
