#pragma once

#include <cstddef>
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

  char* take();
  void give(char* block);

 private:
  std::vector<char*> free_;
};

/// Bytes on their way to one client: blocks that are filled in order, and references to long values that are sent from
/// where they lie.
class OutputBuffer {
 public:
  explicit OutputBuffer(BlockPool& pool) : pool_(pool) {}
  OutputBuffer(const OutputBuffer&) = delete;
  OutputBuffer& operator=(const OutputBuffer&) = delete;
  ~OutputBuffer() { clear(); }

  bool empty() const { return size_ == 0; }
  /// Bytes appended and not yet consumed.
  size_t size() const { return size_; }
  /// Memory held by the buffer, in bytes; referenced values count, because the client keeps them alive.
  size_t memory() const;

  void append(std::string_view bytes);
  /// Room for `n` contiguous bytes (n <= kBlockBytes), of which `commit` appends the first ones.
  char* reserve(size_t n);
  void commit(size_t n);
  /// Appends without copying; small references are copied, because a segment of their own would cost more.
  void append_shared(const SharedBytes& bytes);
  /// Moves everything that `other` holds to the end of this buffer. REQUIRES: both are of one pool.
  void append_buffer(OutputBuffer& other);

  /// A place for bytes that become known only after those that follow (the length of an array). `fill` writes them
  /// (at most kDeferredBytes), exactly once, before anything is consumed. Places are filled in any order.
  static constexpr size_t kDeferredBytes = 32;
  using Place = size_t;
  Place defer();
  void fill(Place place, std::string_view bytes);

  /// Forgets everything that was appended after size() was `size`. REQUIRES: nothing was consumed since and no open place lies behind.
  void truncate(size_t size);

  /// Fills up to `count` vectors with the first pending bytes and returns how many it filled.
  size_t gather(iovec* vectors, size_t count) const;
  /// Drops the first `n` bytes: they were sent.
  void consume(size_t n);
  void clear();
  /// Everything pending as one string, for scripts and tests.
  std::string to_string() const;

 private:
  struct Segment {
    char* block = nullptr;  // owned, of kBlockBytes; null where `shared` is set
    SharedBytes shared;
    size_t begin = 0, end = 0;
  };
  BlockPool& pool_;
  std::vector<Segment> segments_;
  size_t first_ = 0;  // segments before this one are consumed
  size_t size_ = 0;
};

}  // namespace quartet::protocol
