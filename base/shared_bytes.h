#pragma once

#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

namespace quartet {

/// A counted reference to one block of bytes on the heap. A long string value lives in one, and a reply that is still
/// being sent refers to the same block instead of copying it. The count is atomic, because the last reference may be
/// dropped on a thread of the pool. The bytes may be changed only by a holder that is alone (`unique()`).
class SharedBytes {
 public:
  SharedBytes() = default;
  SharedBytes(const SharedBytes& other) : block_(other.block_) {
    if (block_) block_->references.fetch_add(1, std::memory_order_relaxed);
  }
  SharedBytes(SharedBytes&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  SharedBytes& operator=(SharedBytes other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~SharedBytes() {
    if (block_ && block_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) std::free(block_);
  }

  /// A block of `size` bytes, not initialised, with room for `capacity` (at least `size`). Throws std::bad_alloc.
  static SharedBytes allocate(size_t size, size_t capacity) {
    assert(capacity >= size);
    void* memory = std::malloc(sizeof(Block) + capacity);
    if (!memory) throw std::bad_alloc();
    SharedBytes bytes;
    bytes.block_ = new (memory) Block{{1}, size, capacity};
    return bytes;
  }
  static SharedBytes copy_of(std::string_view text) {
    SharedBytes bytes = allocate(text.size(), text.size());
    std::memcpy(bytes.data(), text.data(), text.size());
    return bytes;
  }

  explicit operator bool() const { return block_ != nullptr; }
  bool unique() const { return block_->references.load(std::memory_order_acquire) == 1; }
  char* data() { return reinterpret_cast<char*>(block_ + 1); }
  const char* data() const { return reinterpret_cast<const char*>(block_ + 1); }
  size_t size() const { return block_->size; }
  size_t capacity() const { return block_->capacity; }
  std::string_view view() const { return {data(), size()}; }
  /// REQUIRES: unique() and size <= capacity().
  void set_size(size_t size) { block_->size = size; }
  /// The address of the allocation, for asking the allocator how large it is.
  const void* allocation() const { return block_; }

  /// Gives the reference away as a plain pointer, which `adopt` turns back into one.
  void* release() { return std::exchange(block_, nullptr); }
  static SharedBytes adopt(void* released) {
    SharedBytes bytes;
    bytes.block_ = static_cast<Block*>(released);
    return bytes;
  }

 private:
  struct Block {
    std::atomic<size_t> references;
    size_t size;
    size_t capacity;
  };
  Block* block_ = nullptr;
};

}  // namespace quartet
