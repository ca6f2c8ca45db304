#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace quartet {

/// Memory for small blocks in the manner of slab allocation (Bonwick 1994): each slab of kSlabBytes is cut into blocks
/// of one size. General allocators round to multiples of 16 bytes and keep a block's size for it; keys and members are
/// many, small and know their size, so that here blocks come in steps of 4 bytes and the caller gives the size back on
/// freeing.
///
/// One thread owns a heap and allocates from it. Any thread may free: blocks freed by another one are chained in their
/// slab, and the owner takes the chains back a few slabs at a time (`collect`). Blocks are aligned to 4 bytes.
class SlabHeap {
 public:
  /// The largest block that comes from a slab.
  static constexpr size_t kMaxBytes = 1024;
  static constexpr size_t kSlabBytes = 64 * 1024;

  constexpr SlabHeap() = default;
  SlabHeap(const SlabHeap&) = delete;
  SlabHeap& operator=(const SlabHeap&) = delete;

  /// What a block of `bytes` takes: the next multiple of 4 up to 128, above that of a sixteenth of the power of two
  /// below.
  static constexpr size_t rounded(size_t bytes) { return class_bytes(class_of(bytes)); }

  /// REQUIRES: bytes <= kMaxBytes. Throws std::bad_alloc.
  void* allocate(size_t bytes) {
    const size_t size_class = class_of(bytes);
    Slab* slab = partial_[size_class];
    if (slab) {
      if (slab->first_free) {
        void* block = slab->at(slab->first_free);
        slab->first_free = *static_cast<uint16_t*>(block);
        ++slab->live;
        used_units_ += slab->block_units;
        return block;
      }
      if (slab->untouched < slab->end) {
        used_units_ += slab->block_units;
        return slab->next_untouched();
      }
    }
    return allocate_slowly(size_class);
  }

  /// REQUIRES: `block` was allocated from this heap; on the owner's thread.
  void free(void* block) {
    Slab* slab = slab_of(block);
    slab->push_free(block);
    --slab->live;
    used_units_ -= slab->block_units;
    if (!slab->listed || slab->live == 0) settle(slab);
  }

  /// Frees a block of any heap on a thread that does not own it.
  static void free_remotely(void* block);

  /// Whether other threads have freed blocks that `collect` would take back.
  bool has_remote() const { return collecting_ || remote_.load(std::memory_order_relaxed); }
  /// Takes back what other threads freed in up to `slabs` slabs.
  void collect(size_t slabs);

  /// Gives back the slabs that are kept although no block of theirs is in use.
  void purge();
  /// Slabs held, the kept ones too.
  size_t slabs() const { return slabs_; }
  /// Bytes of the slabs that no block in use lies in. A block that another thread freed is in use until it is taken
  /// back.
  size_t unused_bytes() const { return slabs_ * kSlabBytes - used_units_ * kUnit; }
  /// Bytes of all blocks that were ever taken back from other threads.
  uint64_t collected_bytes() const { return collected_units_ * kUnit; }

  /// The heap that a block was allocated from.
  static SlabHeap* heap_of(const void* block) { return slab_of(block)->heap; }

 private:
  static constexpr size_t kKeptSlabs = 4;
  static constexpr size_t kUnit = 4;
  static constexpr size_t kFineBytes = 128;
  static constexpr size_t kClasses = kFineBytes / kUnit + 1 + 3 * 16;

  static constexpr size_t class_of(size_t bytes) {
    if (bytes <= kFineBytes) return bytes ? (bytes + kUnit - 1) / kUnit : 1;
    const int shift = std::bit_width(bytes - 1) - 5;
    return kFineBytes / kUnit + static_cast<size_t>(shift - 3) * 16 + ((bytes - 1) >> shift) - 15;
  }
  static constexpr size_t class_bytes(size_t size_class) {
    if (size_class <= kFineBytes / kUnit) return size_class * kUnit;
    const size_t step = size_class - kFineBytes / kUnit - 1;
    return (17 + step % 16) << (3 + step / 16);
  }

  /// The head of a slab; its blocks follow. Offsets are counted in units from the slab's beginning, and 0 is none.
  struct alignas(64) Slab {
    SlabHeap* heap;
    Slab* next;  // in the list of slabs of this size that have room, or of those that are kept
    Slab* previous;
    Slab* next_remote;              // in the list of slabs that other threads have freed blocks of
    std::atomic<uint32_t> remote;   // what other threads have freed: [ how many: 16 ][ first: 16 ]
    uint16_t remote_last;           // the last of them, which was the first to be freed
    uint16_t block_units;
    uint16_t first_free, last_free;
    uint16_t untouched, end;  // blocks from here on have never been given out
    uint16_t live;
    uint8_t size_class;
    bool listed;

    void* at(uint16_t offset) { return reinterpret_cast<char*>(this) + offset * kUnit; }
    uint16_t offset_of(const void* block) const {
      return static_cast<uint16_t>((static_cast<const char*>(block) - reinterpret_cast<const char*>(this)) / kUnit);
    }
    void* next_untouched() {
      void* block = at(untouched);
      untouched = static_cast<uint16_t>(untouched + block_units);
      ++live;
      return block;
    }
    void push_free(void* block) {
      if (!first_free) last_free = offset_of(block);
      *static_cast<uint16_t*>(block) = first_free;
      first_free = offset_of(block);
    }
    bool full() const { return !first_free && untouched == end; }
  };
  static_assert(sizeof(Slab) == 64);

  static Slab* slab_of(const void* block) {
    return reinterpret_cast<Slab*>(reinterpret_cast<uintptr_t>(block) & ~(kSlabBytes - 1));
  }

  void* allocate_slowly(size_t size_class);
  Slab* new_slab(size_t size_class);
  /// Lists a slab that has room again, and takes one out that is empty.
  void settle(Slab* slab);
  void list(Slab* slab);
  void unlist(Slab* slab);
  void take_remote(Slab* slab);

  std::array<Slab*, kClasses> partial_{};  // the first is the one to allocate from
  std::atomic<Slab*> remote_{nullptr};
  Slab* collecting_ = nullptr;
  // Some empty slabs are kept, for blocks of any size, so that a lone block that comes and goes does not take its slab
  // along each time.
  Slab* kept_ = nullptr;
  size_t kept_count_ = 0;
  size_t slabs_ = 0;
  size_t used_units_ = 0;
  uint64_t collected_units_ = 0;
};

/// Blocks for the small things that a database is made of: from the thread's SlabHeap where they are small, from malloc
/// where they are large. A block's `bytes` must be the same, or fit in place, from its allocation to its freeing.
/// Blocks that other threads free come back at `collect`; those of a thread that has ended stay in use.
namespace blocks {

extern constinit thread_local SlabHeap heap;

// The sanitizers know only what comes from their own malloc; sizes stay as they are without them.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kSlabs = false;
#elif defined(__has_feature)
inline constexpr bool kSlabs = !__has_feature(address_sanitizer);
#else
inline constexpr bool kSlabs = true;
#endif

void* allocate_large(size_t bytes);
void free_large(void* block);
size_t size_of_large(const void* block);

/// The bytes that a block takes, as memory is accounted for.
inline size_t size(const void* block, size_t bytes) {
  return bytes <= SlabHeap::kMaxBytes ? SlabHeap::rounded(bytes) : size_of_large(block);
}
/// Aligned to 4 bytes. Throws std::bad_alloc.
inline void* allocate(size_t bytes) {
  if (bytes > SlabHeap::kMaxBytes) return allocate_large(bytes);
  return kSlabs ? heap.allocate(bytes) : allocate_large(SlabHeap::rounded(bytes));
}
/// On any thread.
inline void free(void* block, size_t bytes) {
  if (!kSlabs || bytes > SlabHeap::kMaxBytes) return free_large(block);
  if (SlabHeap::heap_of(block) == &heap) return heap.free(block);
  SlabHeap::free_remotely(block);
}
/// Whether a block of `before` bytes can hold `after` bytes without moving, and is not much too large for them.
bool fits_in_place(const void* block, size_t before, size_t after);
/// Takes back some of what other threads freed of this thread's blocks; true where there is more.
bool collect();
/// Gives memory that is kept for later blocks back to the allocator.
void purge();
/// See SlabHeap, of this thread's.
inline bool has_remote() { return heap.has_remote(); }
inline size_t unused_bytes() { return heap.unused_bytes(); }
inline uint64_t collected_bytes() { return heap.collected_bytes(); }

}  // namespace blocks

}  // namespace quartet
