#pragma once

#include <bit>
#include <cassert>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

#include <emmintrin.h>

#include "base/hash.h"
#include "base/prefetch.h"
#include "base/random.h"

namespace quartet::storage {

/// A hash table of pointers to items that hold their own key.
///
/// Items lie in buckets of one cache line, buckets in segments of at most 64, segments under a directory that is
/// indexed by the first bits of the hash (extendible hashing, Fagin et al. 1979). A segment that is full splits into
/// two; nothing else moves, so the table grows without a rehash of the whole and without a second copy of itself.
///
///   hash:     [ directory index: depth bits | bucket: 6 bits | ...                        | tag: 8 bits ]
///   bucket:   [ tag 0 .. tag 6 | overflow ][ slot 0 ] ... [ slot 6 ]      8 + 7 * 8 = 64 bytes
///   slot:     [ hash bits 8..22 from the top: 15 | mark: 1 | pointer: 48 ]
///
/// A tag of 0 is an empty slot. An item whose home bucket is full goes to one of the next kProbes - 1 buckets of the
/// segment, and where these are full too the segment grows; `overflow` counts the items that passed over a bucket, so that a look-up knows when to stop (as in F14).
/// The hash bits in the slot let a segment split without touching its items, and make a false match of tags rare.
///
/// Items lie in the order of their hash's first bits, at any size of the table. A cursor is a position in that order, so a
/// scan that goes on after any number of splits and merges misses nothing that was there all the time.
///
/// `Traits` names `Item` and `static std::string_view key(const Item&)`. The table does not own the items.
/// Pointers to items stay valid whatever happens to the table.
template <class Traits>
class Dict {
 public:
  using Item = typename Traits::Item;

  Dict() = default;
  Dict(const Dict&) = delete;
  Dict& operator=(const Dict&) = delete;
  Dict(Dict&& other) noexcept { swap(other); }
  Dict& operator=(Dict&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Dict() { release(); }

  static uint64_t hash(std::string_view key) { return hash_bytes(key); }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  /// Memory of the table itself, in bytes, without its items.
  size_t memory() const {
    if (!directory_) return 0;
    return segments_ * segment_buckets() * sizeof(Bucket) + (sizeof(Segment) << depth_);
  }
  /// Slots there are, used or not.
  size_t capacity() const { return segments_ * segment_buckets() * kSlots; }

  Item* find(uint64_t hash, std::string_view key) const {
    const Location at = locate(hash, key);
    return at.bucket ? pointer(at.bucket->slots[at.slot]) : nullptr;
  }
  Item* find(std::string_view key) const { return find(hash(key), key); }

  /// REQUIRES: no item with this key is in the table.
  void insert(uint64_t hash, Item* item, bool mark = false) {
    if (!directory_) start();
    while (!place(hash, make_slot(hash, item, mark))) grow(hash);
    ++size_;
  }

  /// Takes the item with this key out of the table and returns it; null where there is none.
  Item* erase(uint64_t hash, std::string_view key) {
    const Location at = locate(hash, key);
    if (!at.bucket) return nullptr;
    Item* item = pointer(at.bucket->slots[at.slot]);
    vacate(at);
    --size_;
    if (size_ == 0 && bucket_bits_ > 0) {
      clear();
    } else if ((size_ & 31) == 0 || size_ < kSlots) {
      shrink();
    }
    return item;
  }

  /// Puts `replacement`, whose key is the same, in the place of `item`. REQUIRES: `item` is in the table.
  void replace(uint64_t hash, const Item* item, Item* replacement, bool mark) {
    *slot_of(hash, item) = make_slot(hash, replacement, mark);
  }
  /// Sets the one bit that the table keeps for its user with each item. REQUIRES: `item` is in the table.
  void set_mark(uint64_t hash, const Item* item, bool mark) {
    uint64_t* slot = slot_of(hash, item);
    *slot = mark ? *slot | kMark : *slot & ~kMark;
  }

  /// Asks for the memory that a look-up of this hash reads first.
  void prefetch(uint64_t hash) const {
    if (directory_) prefetch_line(home(hash));
  }
  /// Asks for the item itself; best some time after `prefetch`.
  void prefetch_item(uint64_t hash) const {
    if (!directory_) return;
    const Bucket* bucket = home(hash);
    const unsigned matches = match(*bucket, tag_of(hash));
    if (matches) prefetch_line(pointer(bucket->slots[std::countr_zero(matches)]));
  }

  /// Calls `visit(Item&, bool mark)` for every item until it returns false. The table must not change meanwhile.
  template <class Visit>
  void for_each(Visit visit) const {
    if (!directory_) return;
    for (size_t i = 0; i < size_t{1} << depth_; i += span(i)) {
      const Segment& segment = directory_[i];
      for (size_t b = 0; b < segment_buckets(); ++b)
        for (unsigned used = used_slots(segment.buckets[b]); used; used &= used - 1) {
          const uint64_t slot = segment.buckets[b].slots[std::countr_zero(used)];
          if (!visit(*pointer(slot), (slot & kMark) != 0)) return;
        }
    }
  }

  /// Calls `visit(Item&)` for all items of the home bucket at `cursor` and returns the cursor behind it; 0 is both the
  /// first cursor and the answer at the end. `visit` must not change the table.
  template <class Visit>
  uint64_t scan(uint64_t cursor, Visit visit) const {
    if (!directory_) return 0;
    const size_t index = directory_index(cursor);
    const Segment& segment = directory_[index];
    const size_t b = bucket_index(cursor, segment.depth);
    const int known = segment.depth + bucket_bits_;  // the first bits of the hash that all these items share
    for (size_t probe = 0; probe < segment_buckets(); ++probe) {
      const Bucket& bucket = segment.buckets[(b + probe) & (segment_buckets() - 1)];
      for (unsigned used = used_slots(bucket); used; used &= used - 1) {
        Item* item = pointer(bucket.slots[std::countr_zero(used)]);
        const uint64_t hash = Dict::hash(Traits::key(*item));
        if (first_bits(hash, known) == first_bits(cursor, known)) visit(*item);
      }
      if (bucket.overflow == 0) break;
    }
    if (known == 0) return 0;
    return (first_bits(cursor, known) + 1) << (64 - known);  // wraps to 0 behind the last bucket
  }

  /// Visits only the marked items, bucket by bucket as they lie, beginning at `cursor`, `buckets` of them. Returns the
  /// next cursor, 0 at the end. Unmarked items are not touched in memory. `visit` must not change the table.
  template <class Visit>
  uint64_t walk_marked(uint64_t cursor, size_t buckets, Visit visit) const {
    if (!directory_) return 0;
    while (buckets-- > 0) {
      const Segment& segment = directory_[directory_index(cursor)];
      const Bucket& bucket = segment.buckets[bucket_index(cursor, segment.depth)];
      for (unsigned used = used_slots(bucket); used; used &= used - 1) {
        const uint64_t slot = bucket.slots[std::countr_zero(used)];
        if (slot & kMark) visit(*pointer(slot));
      }
      const int known = segment.depth + bucket_bits_;
      if (known == 0) return 0;
      cursor = (first_bits(cursor, known) + 1) << (64 - known);
      if (cursor == 0) return 0;
    }
    return cursor;
  }

  /// An item chosen at random, each equally likely unless the table is nearly empty; null where it is empty.
  Item* random(Random& generator) const {
    if (size_ == 0) return nullptr;
    for (int tries = 0; tries < 256; ++tries) {
      const uint64_t position = generator.next();
      const size_t index = directory_index(position);
      // A segment counts at the first of its directory entries alone, so that a slot of a shallow one is no likelier than others.
      if ((index & (span(index) - 1)) != 0) continue;
      const Segment& segment = directory_[index];
      const Bucket& bucket = segment.buckets[bucket_index(position, depth_)];
      const size_t slot = (position & 0xffff) % kSlots;
      if (bucket.tags[slot]) return pointer(bucket.slots[slot]);
    }
    // The table is nearly empty: take the first item behind a random position, in the circle.
    Item* found = nullptr;
    uint64_t cursor = generator.next();
    while (!found) cursor = scan(cursor, [&](Item& item) { found = &item; });
    return found;
  }

  /// Forgets all items and gives back the table's memory.
  void clear() {
    release();
    directory_ = nullptr;
    size_ = segments_ = 0;
    depth_ = bucket_bits_ = 0;
  }

  void swap(Dict& other) noexcept {
    std::swap(directory_, other.directory_);
    std::swap(size_, other.size_);
    std::swap(segments_, other.segments_);
    std::swap(merge_at_, other.merge_at_);
    std::swap(depth_, other.depth_);
    std::swap(bucket_bits_, other.bucket_bits_);
  }

 private:
  static constexpr size_t kSlots = 7;
  static constexpr int kMaxBucketBits = 6;
  static constexpr size_t kProbes = 8;
  static constexpr uint64_t kPointer = (uint64_t{1} << 48) - 1;
  static constexpr uint64_t kMark = uint64_t{1} << 48;
  /// The hash bits kept in a slot: 15 of them, beginning 8 bits from the top.
  static constexpr int kKeptSkip = 8, kKeptBits = 15;

  struct alignas(64) Bucket {
    uint8_t tags[kSlots];
    uint8_t overflow;
    uint64_t slots[kSlots];
  };
  static_assert(sizeof(Bucket) == 64, "a bucket is one cache line");

  /// One directory entry. Several neighbouring ones name the same buckets where the segment's depth is less than the directory's.
  struct Segment {
    Bucket* buckets;
    int depth;
  };
  struct Location {
    Bucket* bucket = nullptr;
    unsigned slot = 0;
    size_t home = 0, probe = 0;
    Bucket* segment = nullptr;
  };

  static uint64_t first_bits(uint64_t hash, int bits) { return bits == 0 ? 0 : hash >> (64 - bits); }
  static uint8_t tag_of(uint64_t hash) { return (hash & 0xff) ? static_cast<uint8_t>(hash) : 1; }
  static uint64_t kept_bits(uint64_t hash) { return (hash << kKeptSkip) >> (64 - kKeptBits); }
  static Item* pointer(uint64_t slot) { return reinterpret_cast<Item*>(slot & kPointer); }
  static uint64_t make_slot(uint64_t hash, const Item* item, bool mark) {
    const auto address = reinterpret_cast<uint64_t>(item);
    assert((address & ~kPointer) == 0);
    return (kept_bits(hash) << 49) | (mark ? kMark : 0) | address;
  }
  static unsigned match(const Bucket& bucket, uint8_t tag) {
    const __m128i tags = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bucket.tags));
    const __m128i equal = _mm_cmpeq_epi8(tags, _mm_set1_epi8(static_cast<char>(tag)));
    return static_cast<unsigned>(_mm_movemask_epi8(equal)) & ((1u << kSlots) - 1);
  }
  static unsigned used_slots(const Bucket& bucket) { return ~match(bucket, 0) & ((1u << kSlots) - 1); }

  size_t segment_buckets() const { return size_t{1} << bucket_bits_; }
  size_t probes() const { return segment_buckets() < kProbes ? segment_buckets() : kProbes; }
  size_t directory_index(uint64_t hash) const { return first_bits(hash, depth_); }
  size_t bucket_index(uint64_t hash, int depth) const { return first_bits(hash << depth, bucket_bits_); }
  /// How many directory entries name the segment that entry `i` names, counted from its first one.
  size_t span(size_t i) const { return size_t{1} << (depth_ - directory_[i].depth); }
  Bucket* home(uint64_t hash) const {
    const Segment& segment = directory_[directory_index(hash)];
    return segment.buckets + bucket_index(hash, segment.depth);
  }

  Location locate(uint64_t hash, std::string_view key) const {
    if (!directory_) return {};
    const Segment& segment = directory_[directory_index(hash)];
    const size_t first = bucket_index(hash, segment.depth);
    const uint64_t kept = kept_bits(hash);
    for (size_t probe = 0; probe < segment_buckets(); ++probe) {
      Bucket& bucket = segment.buckets[(first + probe) & (segment_buckets() - 1)];
      for (unsigned matches = match(bucket, tag_of(hash)); matches; matches &= matches - 1) {
        const auto slot = static_cast<unsigned>(std::countr_zero(matches));
        if (bucket.slots[slot] >> 49 == kept && Traits::key(*pointer(bucket.slots[slot])) == key)
          return {&bucket, slot, first, probe, segment.buckets};
      }
      if (bucket.overflow == 0) break;
    }
    return {};
  }

  uint64_t* slot_of(uint64_t hash, const Item* item) {
    const Segment& segment = directory_[directory_index(hash)];
    const size_t first = bucket_index(hash, segment.depth);
    for (size_t probe = 0; probe < segment_buckets(); ++probe) {
      Bucket& bucket = segment.buckets[(first + probe) & (segment_buckets() - 1)];
      for (unsigned matches = match(bucket, tag_of(hash)); matches; matches &= matches - 1) {
        uint64_t& slot = bucket.slots[std::countr_zero(matches)];
        if (pointer(slot) == item) return &slot;
      }
    }
    assert(!"the item is in the table");
    std::abort();
  }

  /// Puts a slot into the segment of its hash; false where there is no room within the probes.
  bool place(uint64_t hash, uint64_t slot) {
    const Segment& segment = directory_[directory_index(hash)];
    return place_in(segment.buckets, bucket_index(hash, segment.depth), tag_of(hash), slot, probes());
  }
  bool place_in(Bucket* buckets, size_t first, uint8_t tag, uint64_t slot, size_t limit) {
    for (size_t probe = 0; probe < limit; ++probe) {
      Bucket& bucket = buckets[(first + probe) & (segment_buckets() - 1)];
      const unsigned vacant = match(bucket, 0);
      if (!vacant) continue;
      const int at = std::countr_zero(vacant);
      bucket.tags[at] = tag;
      bucket.slots[at] = slot;
      for (size_t passed = 0; passed < probe; ++passed) ++buckets[(first + passed) & (segment_buckets() - 1)].overflow;
      return true;
    }
    return false;
  }

  void vacate(const Location& at) {
    at.bucket->tags[at.slot] = 0;
    for (size_t passed = 0; passed < at.probe; ++passed)
      --at.segment[(at.home + passed) & (segment_buckets() - 1)].overflow;
  }

  Bucket* new_buckets() const {
    void* memory = std::aligned_alloc(alignof(Bucket), segment_buckets() * sizeof(Bucket));
    if (!memory) throw std::bad_alloc();
    auto* buckets = static_cast<Bucket*>(memory);
    // Only tags and counters need a value; slots are read behind a tag.
    for (size_t i = 0; i < segment_buckets(); ++i) std::memset(buckets[i].tags, 0, kSlots + 1);
    return buckets;
  }
  static Segment* new_directory(int depth) {
    void* memory = std::malloc(sizeof(Segment) << depth);
    if (!memory) throw std::bad_alloc();
    return static_cast<Segment*>(memory);
  }

  void start() {
    directory_ = new_directory(0);
    directory_[0] = {new_buckets(), 0};
    segments_ = 1;
  }

  /// Makes room around `hash`: doubles the only segment while it is small, splits the hash's segment after that.
  void grow(uint64_t hash) {
    if (bucket_bits_ < kMaxBucketBits) {
      resize_only_segment(bucket_bits_ + 1);
    } else {
      split(directory_index(hash));
    }
  }

  void resize_only_segment(int bits) {
    assert(segments_ == 1 && depth_ == 0);
    Bucket* old = directory_[0].buckets;
    const size_t old_buckets = segment_buckets();
    for (;; ++bits) {
      bucket_bits_ = bits;
      Bucket* fresh = new_buckets();
      if (move_all(old, old_buckets, fresh)) {
        directory_[0].buckets = fresh;
        break;
      }
      // Far from random hashes can crowd even the doubled segment; then it doubles again.
      std::free(fresh);
    }
    std::free(old);
  }
  bool move_all(const Bucket* from, size_t from_buckets, Bucket* to) {
    for (size_t b = 0; b < from_buckets; ++b)
      for (unsigned used = used_slots(from[b]); used; used &= used - 1) {
        const uint64_t slot = from[b].slots[std::countr_zero(used)];
        const uint64_t hash = Dict::hash(Traits::key(*pointer(slot)));
        if (!place_in(to, bucket_index(hash, 0), tag_of(hash), slot, probes())) return false;
      }
    return true;
  }

  void double_directory() {
    Segment* wider = new_directory(depth_ + 1);
    for (size_t i = 0; i < size_t{1} << depth_; ++i) wider[2 * i] = wider[2 * i + 1] = directory_[i];
    std::free(directory_);
    directory_ = wider;
    ++depth_;
  }

  /// The hash bits from `depth` on that a split or merge needs: from the slot where it keeps them, else from the key.
  uint64_t hash_for_move(uint64_t slot, int depth) const {
    if (depth >= kKeptSkip && depth + 1 + kMaxBucketBits <= kKeptSkip + kKeptBits)
      return (slot >> 49) << (64 - kKeptSkip - kKeptBits);
    return Dict::hash(Traits::key(*pointer(slot)));
  }

  void split(size_t index) {
    if (directory_[index].depth == depth_) {
      double_directory();
      index *= 2;
    }
    const Segment old = directory_[index];
    const size_t entries = span(index);
    const size_t first = index & ~(entries - 1);
    Bucket* halves[2] = {new_buckets(), new_buckets()};
    for (size_t b = 0; b < segment_buckets(); ++b)
      for (unsigned used = used_slots(old.buckets[b]); used; used &= used - 1) {
        const int at = std::countr_zero(used);
        const uint64_t slot = old.buckets[b].slots[at];
        const uint64_t hash = hash_for_move(slot, old.depth) << old.depth;
        // A split has to succeed, so it may go further from home than an insertion does; the half is never full.
        [[maybe_unused]] const bool placed = place_in(halves[hash >> 63], bucket_index(hash << 1, 0),
                                                      old.buckets[b].tags[at], slot, segment_buckets());
        assert(placed);
      }
    for (size_t i = 0; i < entries; ++i) directory_[first + i] = {halves[i >= entries / 2], old.depth + 1};
    std::free(old.buckets);
    ++segments_;
  }

  /// Gives memory back while the table is nearly empty, a little at each call.
  void shrink() {
    if (!directory_) return;
    if (segments_ > 1) {
      if (size_ * 8 < capacity()) merge_one();
    } else if (bucket_bits_ > 0 && size_ * 8 < capacity()) {
      resize_only_segment(bucket_bits_ - 1);
    }
  }

  void merge_one() {
    const size_t entries = size_t{1} << depth_;
    merge_at_ &= entries - 1;
    const Segment one = directory_[merge_at_];
    const size_t width = size_t{1} << (depth_ - one.depth);
    const size_t left = merge_at_ & ~(2 * width - 1), right = left + width;
    if (one.depth == 0 || directory_[left].depth != directory_[right].depth) {
      // The neighbour is in smaller parts; where it comes next, these are what can merge.
      merge_at_ = (merge_at_ & ~(width - 1)) + width;
      return;
    }
    merge_at_ = left + 2 * width;
    Bucket* merged = new_buckets();
    const int depth = one.depth - 1;
    for (const size_t half : {left, right})
      for (size_t b = 0; b < segment_buckets(); ++b)
        for (unsigned used = used_slots(directory_[half].buckets[b]); used; used &= used - 1) {
          const int at = std::countr_zero(used);
          const uint64_t slot = directory_[half].buckets[b].slots[at];
          const uint64_t hash = hash_for_move(slot, depth) << depth;
          if (!place_in(merged, bucket_index(hash, 0), directory_[half].buckets[b].tags[at], slot, probes())) {
            std::free(merged);
            return;
          }
        }
    std::free(directory_[left].buckets);
    std::free(directory_[right].buckets);
    for (size_t i = left; i < left + 2 * width; ++i) directory_[i] = {merged, depth};
    --segments_;
    // One segment alone may be resized, so it has to be the only directory entry too.
    while (depth_ > 0 && (segments_ == 1 || segments_ * 4 <= size_t{1} << depth_) && halve_directory()) {
    }
  }

  /// Halves the directory where no segment needs its last bit; false where one does.
  bool halve_directory() {
    for (size_t i = 0; i < size_t{1} << depth_; i += span(i))
      if (directory_[i].depth == depth_) return false;
    Segment* narrower = new_directory(depth_ - 1);
    for (size_t i = 0; i < size_t{1} << (depth_ - 1); ++i) narrower[i] = directory_[2 * i];
    std::free(directory_);
    directory_ = narrower;
    --depth_;
    return true;
  }

  void release() {
    if (!directory_) return;
    for (size_t i = 0; i < size_t{1} << depth_;) {
      const size_t next = i + span(i);
      std::free(directory_[i].buckets);
      i = next;
    }
    std::free(directory_);
  }

  Segment* directory_ = nullptr;
  size_t size_ = 0;
  size_t segments_ = 0;
  size_t merge_at_ = 0;
  int depth_ = 0;
  int bucket_bits_ = 0;
};

}  // namespace quartet::storage
