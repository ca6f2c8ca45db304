#pragma once

#include <algorithm>
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
/// Items lie in buckets of one cache line, 64 buckets in a page, up to 7 pages in a segment, segments under a directory
/// that is indexed by the first bits of the hash (extendible hashing, Fagin et al. 1979). A segment that is full grows
/// by a page (by less while it is smaller than one), and one of 5 to 7 pages splits into two; nothing else moves, so
/// the table grows without a rehash of the whole and without a second copy of itself, and is never far from full. How
/// large a segment becomes depends on its place: hashes fill all segments alike, and those of one size would all split
/// within a few percent of growth.
///
///   hash:     [ directory index: depth bits | place in the segment: 14 bits | ...    | tag: 8 bits ]
///   bucket:   [ tag 0 .. tag 6 | overflow ][ slot 0 ] ... [ slot 6 ]      8 + 7 * 8 = 64 bytes
///   slot:     [ hash bits: 16 | mark: 1 | pointer: 47 ]
///
/// A tag of 0 is an empty slot. An item whose home bucket is full goes to one of the next kProbes - 1 buckets of the
/// segment, and where these are full too the segment grows; `overflow` counts the items that passed over a bucket, so
/// that a look-up knows when to stop (as in F14). The hash bits in the slot let a segment grow and split without
/// touching its items, and make a false match of tags rare. They begin at the segment's depth rounded down to an even
/// number, and are taken from the keys again where a split or merge passes such a depth.
///
/// Items lie in the order of their hash's first bits, at any size of the table. A cursor is a position in that order,
/// so a scan that goes on after any number of splits and merges misses nothing that was there all the time.
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
    return buckets_ * sizeof(Bucket) + (sizeof(Segment) << depth_);
  }
  /// Slots there are, used or not.
  size_t capacity() const { return buckets_ * kSlots; }

  Item* find(uint64_t hash, std::string_view key) const {
    const Location at = locate(hash, key);
    return at.segment ? pointer(at.bucket().slots[at.slot]) : nullptr;
  }
  Item* find(std::string_view key) const { return find(hash(key), key); }
  /// An item whose key has this hash; null where there is none.
  Item* find(uint64_t hash) const {
    const Location at = locate(hash, [&](const Item& item) { return Dict::hash(Traits::key(item)) == hash; });
    return at.segment ? pointer(at.bucket().slots[at.slot]) : nullptr;
  }

  /// REQUIRES: no item with this key is in the table.
  void insert(uint64_t hash, Item* item, bool mark = false) {
    if (!directory_) start();
    while (!place(hash, item, mark)) grow(hash);
    ++size_;
  }

  /// The same where it is not known whether there is one; false, with nothing done, where there is.
  bool insert_new(uint64_t hash, Item* item, bool mark) {
    if (find(hash, Traits::key(*item))) return false;
    insert(hash, item, mark);
    return true;
  }

  /// Makes room for so many items, so that the table need not grow while they come; some 11 bytes for each. REQUIRES:
  /// the table is empty.
  void reserve(size_t items) {
    assert(empty());
    clear();
    if (items <= kSlots) return;
    int depth = 0;
    while (items >> depth > kMaxBuckets * kSlots * 4 / 5) ++depth;
    directory_ = new_directory(depth);
    depth_ = depth;
    for (size_t i = 0; i < size_t{1} << depth; ++i) directory_[i] = new_segment(fitting(items >> depth), depth);
  }

  /// Takes the item with this key out of the table and returns it; null where there is none.
  Item* erase(uint64_t hash, std::string_view key) {
    const Location at = locate(hash, key);
    if (!at.segment) return nullptr;
    Item* item = pointer(at.bucket().slots[at.slot]);
    vacate(at);
    --size_;
    if (size_ == 0 && buckets_ > 1) {
      clear();
    } else if ((size_ & 31) == 0 || size_ < kSlots) {
      shrink();
    }
    return item;
  }

  /// Puts `replacement`, whose key is the same, in the place of `item`. REQUIRES: `item` is in the table.
  void replace(uint64_t hash, const Item* item, Item* replacement, bool mark) {
    uint64_t* slot = slot_of(hash, item);
    *slot = (*slot & kKept) | word(replacement, mark);
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
      for (size_t b = 0; b < segment.size; ++b)
        for (unsigned used = used_slots(segment.bucket(b)); used; used &= used - 1) {
          const uint64_t slot = segment.bucket(b).slots[std::countr_zero(used)];
          if (!visit(*pointer(slot), (slot & kMark) != 0)) return;
        }
    }
  }

  /// Calls `visit(Item&)` for all items of the home bucket at `cursor` and returns the cursor behind it; 0 is both the
  /// first cursor and the answer at the end. `visit` must not change the table.
  template <class Visit>
  uint64_t scan(uint64_t cursor, Visit visit) const {
    if (!directory_) return 0;
    const Segment& segment = directory_[directory_index(cursor)];
    const size_t home = segment.home(cursor);
    for (size_t probe = 0; probe < segment.size; ++probe) {
      const Bucket& bucket = segment.behind(home, probe);
      for (unsigned used = used_slots(bucket); used; used &= used - 1) {
        const uint64_t slot = bucket.slots[std::countr_zero(used)];
        if (segment.home(segment.known_hash(slot)) == home) visit(*pointer(slot));
      }
      if (bucket.overflow == 0) break;
    }
    return segment.end_of(home, cursor);
  }

  /// Asks for the items of the bucket at `cursor`, and returns the cursor behind it, as `scan` does.
  uint64_t prefetch_bucket(uint64_t cursor) const {
    if (!directory_) return 0;
    const Segment& segment = directory_[directory_index(cursor)];
    const size_t home = segment.home(cursor);
    const Bucket& bucket = segment.bucket(home);
    for (unsigned used = used_slots(bucket); used; used &= used - 1)
      prefetch_line(pointer(bucket.slots[std::countr_zero(used)]));
    return segment.end_of(home, cursor);
  }

  /// Visits only the marked items, bucket by bucket as they lie, beginning at `cursor`, `buckets` of them. Returns the
  /// next cursor, 0 at the end. Unmarked items are not touched in memory. `visit` must not change the table.
  template <class Visit>
  uint64_t walk_marked(uint64_t cursor, size_t buckets, Visit visit) const {
    if (!directory_) return 0;
    while (buckets-- > 0) {
      const Segment& segment = directory_[directory_index(cursor)];
      const size_t at = segment.home(cursor);
      const Bucket& bucket = segment.bucket(at);
      for (unsigned used = used_slots(bucket); used; used &= used - 1) {
        const uint64_t slot = bucket.slots[std::countr_zero(used)];
        if (slot & kMark) visit(*pointer(slot));
      }
      cursor = segment.end_of(at, cursor);
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
      // A segment counts at the first of its directory entries alone, so that a slot of a shallow one is no likelier
      // than others.
      if ((index & (span(index) - 1)) != 0) continue;
      const Segment& segment = directory_[index];
      // A large segment is as likely as a small one, so that small ones are passed over for it as often as they lack
      // buckets.
      const size_t at = ((position >> 16) & 0xffff) % (depth_ == 0 ? segment.size : kMaxBuckets);
      const size_t slot = (position & 0xffff) % kSlots;
      if (at >= segment.size) continue;
      const Bucket& bucket = segment.bucket(at);
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
    size_ = segments_ = buckets_ = 0;
    depth_ = 0;
  }

  void swap(Dict& other) noexcept {
    std::swap(directory_, other.directory_);
    std::swap(size_, other.size_);
    std::swap(segments_, other.segments_);
    std::swap(merge_at_, other.merge_at_);
    std::swap(depth_, other.depth_);
    std::swap(buckets_, other.buckets_);
  }

 private:
  static constexpr size_t kSlots = 7;
  static constexpr size_t kPageBuckets = 64;
  static constexpr size_t kMinPages = 5, kMaxPages = 7;  // of a segment that splits
  static constexpr size_t kMaxBuckets = kMaxPages * kPageBuckets;
  static constexpr size_t kProbes = 8;
  /// So many bits of the hash, behind those that choose the segment, choose the bucket in it.
  static constexpr int kPlaceBits = 14;
  static constexpr uint64_t kPointer = (uint64_t{1} << 47) - 1;
  static constexpr uint64_t kMark = uint64_t{1} << 47;
  /// The hash bits kept in a slot. They begin at most 1 before the segment's depth, and a split needs one more than it
  /// has.
  static constexpr int kKeptBits = 16;
  static constexpr uint64_t kKept = ~uint64_t{0} << (64 - kKeptBits);
  static_assert(1 + 1 + kPlaceBits <= kKeptBits);

  struct alignas(64) Bucket {
    uint8_t tags[kSlots];
    uint8_t overflow;
    uint64_t slots[kSlots];

    // Items that were erased in the order of the table leave the others close together, and a merge can then move
    // hundreds past a bucket. A counter that is full is not known exactly any more, and stays full until the segment is
    // made anew.
    void add_overflow() { overflow += overflow != UINT8_MAX; }
    void remove_overflow() { overflow -= overflow != UINT8_MAX; }
  };
  static_assert(sizeof(Bucket) == 64, "a bucket is one cache line");

  /// One directory entry. Several neighbouring ones name the same buckets where the segment's depth is less than the
  /// directory's. Pages rather than one array, because all of them are of one size and leave no gaps where they were.
  struct alignas(64) Segment {
    Bucket* pages[kMaxPages];
    uint32_t size;  // how many buckets; the only page may be less than whole
    int depth;

    Bucket& bucket(size_t at) const { return pages[at / kPageBuckets][at % kPageBuckets]; }
    size_t home(uint64_t hash) const { return (first_bits(hash << depth, kPlaceBits) * size) >> kPlaceBits; }
    Bucket& behind(size_t home, size_t probe) const {
      const size_t at = home + probe;
      return bucket(at < size ? at : at - size);
    }
    size_t probes() const { return size < kProbes ? size : kProbes; }
    /// The hash bits that slots of this segment keep of a hash.
    uint64_t kept(uint64_t hash) const { return (hash << kept_from(depth)) & kKept; }
    /// A hash that agrees with the item's in the bits kept and is 0 elsewhere: enough to find its home in this segment.
    uint64_t known_hash(uint64_t slot) const { return (slot & kKept) >> kept_from(depth); }
    /// The first hash, in the order of hashes, behind those whose home is this bucket of the segment that holds `hash`;
    /// 0 where there is none.
    uint64_t end_of(size_t bucket, uint64_t hash) const {
      const uint64_t start = first_bits(hash, depth);
      if (bucket + 1 == size) return depth == 0 ? 0 : (start + 1) << (64 - depth);
      const uint64_t place = (((bucket + 1) << kPlaceBits) + size - 1) / size;
      return (depth == 0 ? 0 : start << (64 - depth)) | place << (64 - depth - kPlaceBits);
    }
  };
  static_assert(sizeof(Segment) == 64, "a directory entry is one cache line");
  struct Location {
    const Segment* segment = nullptr;  // null where there is no such item
    size_t home = 0, probe = 0;
    unsigned slot = 0;
    Bucket& bucket() const { return segment->behind(home, probe); }
  };

  static uint64_t first_bits(uint64_t hash, int bits) { return bits == 0 ? 0 : hash >> (64 - bits); }
  static int kept_from(int depth) { return depth & ~1; }
  static uint8_t tag_of(uint64_t hash) { return (hash & 0xff) ? static_cast<uint8_t>(hash) : 1; }
  static Item* pointer(uint64_t slot) { return reinterpret_cast<Item*>(slot & kPointer); }
  /// A slot without its hash bits.
  static uint64_t word(const Item* item, bool mark) {
    const auto address = reinterpret_cast<uint64_t>(item);
    assert((address & ~kPointer) == 0);
    return (mark ? kMark : 0) | address;
  }
  static unsigned match(const Bucket& bucket, uint8_t tag) {
    const __m128i tags = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bucket.tags));
    const __m128i equal = _mm_cmpeq_epi8(tags, _mm_set1_epi8(static_cast<char>(tag)));
    return static_cast<unsigned>(_mm_movemask_epi8(equal)) & ((1u << kSlots) - 1);
  }
  static unsigned used_slots(const Bucket& bucket) { return ~match(bucket, 0) & ((1u << kSlots) - 1); }
  /// The size of a segment after `size`: more by a page, and below one by a quarter of a power of two.
  static uint32_t larger(uint32_t size) {
    if (size >= kPageBuckets) return size + kPageBuckets;
    return size < 4 ? size + 1 : size + std::bit_floor(size) / 4;
  }
  /// The smallest size that so many items fill to four fifths at most, so that some more have room; at most the
  /// largest.
  static uint32_t fitting(size_t items) {
    uint32_t size = 1;
    while (size * kSlots * 4 < items * 5 && size < kMaxBuckets) size = larger(size);
    return size;
  }

  size_t directory_index(uint64_t hash) const { return first_bits(hash, depth_); }
  /// How many directory entries name the segment that entry `i` names, counted from its first one.
  size_t span(size_t i) const { return size_t{1} << (depth_ - directory_[i].depth); }
  Bucket* home(uint64_t hash) const {
    const Segment& segment = directory_[directory_index(hash)];
    return &segment.bucket(segment.home(hash));
  }

  Location locate(uint64_t hash, std::string_view key) const {
    return locate(hash, [&](const Item& item) { return Traits::key(item) == key; });
  }
  template <class IsIt>
  Location locate(uint64_t hash, IsIt is_it) const {
    if (!directory_) return {};
    const Segment& segment = directory_[directory_index(hash)];
    const size_t home = segment.home(hash);
    const uint64_t kept = segment.kept(hash);
    for (size_t probe = 0; probe < segment.size; ++probe) {
      const Bucket& bucket = segment.behind(home, probe);
      for (unsigned matches = match(bucket, tag_of(hash)); matches; matches &= matches - 1) {
        const auto slot = static_cast<unsigned>(std::countr_zero(matches));
        if ((bucket.slots[slot] & kKept) == kept && is_it(*pointer(bucket.slots[slot])))
          return {&segment, home, probe, slot};
      }
      if (bucket.overflow == 0) break;
    }
    return {};
  }

  uint64_t* slot_of(uint64_t hash, const Item* item) {
    const Segment& segment = directory_[directory_index(hash)];
    const size_t home = segment.home(hash);
    for (size_t probe = 0; probe < segment.size; ++probe) {
      Bucket& bucket = segment.behind(home, probe);
      for (unsigned matches = match(bucket, tag_of(hash)); matches; matches &= matches - 1) {
        uint64_t& slot = bucket.slots[std::countr_zero(matches)];
        if (pointer(slot) == item) return &slot;
      }
    }
    assert(!"the item is in the table");
    std::abort();
  }

  /// Puts an item into the segment of its hash; false where there is no room within the probes.
  bool place(uint64_t hash, const Item* item, bool mark) {
    const Segment& segment = directory_[directory_index(hash)];
    return place_in(segment, segment.home(hash), tag_of(hash), segment.kept(hash) | word(item, mark), segment.probes());
  }
  static bool place_in(const Segment& segment, size_t home, uint8_t tag, uint64_t slot, size_t probes) {
    for (size_t probe = 0; probe < probes; ++probe) {
      Bucket& bucket = segment.behind(home, probe);
      const unsigned vacant = match(bucket, 0);
      if (!vacant) continue;
      const int at = std::countr_zero(vacant);
      bucket.tags[at] = tag;
      bucket.slots[at] = slot;
      for (size_t passed = 0; passed < probe; ++passed) segment.behind(home, passed).add_overflow();
      return true;
    }
    return false;
  }

  static void vacate(const Location& at) {
    at.bucket().tags[at.slot] = 0;
    for (size_t passed = 0; passed < at.probe; ++passed) at.segment->behind(at.home, passed).remove_overflow();
  }

  Segment new_segment(uint32_t size, int depth) {
    Segment segment{{}, size, depth};
    for (size_t page = 0; page * kPageBuckets < size; ++page) {
      const size_t in_page = std::min(size - page * kPageBuckets, kPageBuckets);
      auto* buckets = static_cast<Bucket*>(allocate_lines(in_page * sizeof(Bucket)));
      // Only tags and counters need a value; slots are read behind a tag.
      for (size_t i = 0; i < in_page; ++i) std::memset(buckets[i].tags, 0, kSlots + 1);
      segment.pages[page] = buckets;
    }
    ++segments_;
    buckets_ += size;
    return segment;
  }
  void free_segment(const Segment& segment) {
    free_pages(segment);
    --segments_;
    buckets_ -= segment.size;
  }
  static void free_pages(const Segment& segment) {
    for (size_t page = 0; page * kPageBuckets < segment.size; ++page) std::free(segment.pages[page]);
  }
  static Segment* new_directory(int depth) { return static_cast<Segment*>(allocate_lines(sizeof(Segment) << depth)); }
  static void* allocate_lines(size_t bytes) {
    void* memory = std::aligned_alloc(alignof(Bucket), bytes);
    if (!memory) throw std::bad_alloc();
    return memory;
  }

  void start() {
    directory_ = new_directory(0);
    directory_[0] = new_segment(1, 0);
  }

  /// From how many buckets on the segment that holds `hash` is split: of any size between the bounds as often as of
  /// another.
  static size_t splits_at(uint64_t hash, int depth) {
    constexpr uint64_t kGoldenRatio = 0x9e3779b97f4a7c15;
    const uint64_t scattered = (first_bits(hash, depth) + 1) * kGoldenRatio;
    return (kMinPages + (scattered >> 32) % (kMaxPages - kMinPages + 1)) * kPageBuckets;
  }

  /// Makes room in the segment of `hash`.
  void grow(uint64_t hash) {
    const size_t index = directory_index(hash);
    if (directory_[index].size >= splits_at(hash, directory_[index].depth)) {
      split(index);
    } else {
      resize(index, larger(directory_[index].size));
    }
  }

  /// Gives the segment another number of buckets. REQUIRES: its items have room in them.
  void resize(size_t index, uint32_t size) {
    const Segment old = directory_[index];
    const Segment resized = new_segment(size, old.depth);
    for_each_slot(old, old.depth,
                  [&](uint64_t hash, uint8_t tag, uint64_t slot) { move_to(resized, hash, tag, slot); });
    put(index, resized);
    free_segment(old);
  }

  /// Makes the directory entries that name the segment of entry `index` name one that takes its place.
  void put(size_t index, const Segment& segment) {
    const size_t entries = span(index);
    const size_t first = index & ~(entries - 1);
    for (size_t i = 0; i < entries; ++i) directory_[first + i] = segment;
  }

  /// Calls `visit(hash, tag, slot)` for all slots of a segment; the hash is good for finding a home at `depth`.
  template <class Visit>
  static void for_each_slot(const Segment& segment, int depth, Visit visit) {
    const bool kept_is_enough = kept_from(depth) == kept_from(segment.depth);
    const auto prefetch_items = [&](size_t b) {
      if (kept_is_enough || b >= segment.size) return;
      const Bucket& bucket = segment.bucket(b);
      for (unsigned used = used_slots(bucket); used; used &= used - 1)
        prefetch_line(pointer(bucket.slots[std::countr_zero(used)]));
    };
    // Some dozen items are waited for at once.
    constexpr size_t kAhead = 4;
    for (size_t b = 0; b < kAhead; ++b) prefetch_items(b);
    for (size_t b = 0; b < segment.size; ++b) {
      prefetch_items(b + kAhead);
      const Bucket& bucket = segment.bucket(b);
      for (unsigned used = used_slots(bucket); used; used &= used - 1) {
        const int at = std::countr_zero(used);
        const uint64_t slot = bucket.slots[at];
        visit(kept_is_enough ? segment.known_hash(slot) : Dict::hash(Traits::key(*pointer(slot))), bucket.tags[at],
              slot);
      }
    }
  }

  /// Puts a slot of another segment into this one. It has to succeed, so it may go further from home than an insertion
  /// does. REQUIRES: there is room.
  static void move_to(const Segment& segment, uint64_t hash, uint8_t tag, uint64_t slot) {
    [[maybe_unused]] const bool placed =
        place_in(segment, segment.home(hash), tag, (slot & ~kKept) | segment.kept(hash), segment.size);
    assert(placed);
  }

  void double_directory() {
    Segment* wider = new_directory(depth_ + 1);
    for (size_t i = 0; i < size_t{1} << depth_; ++i) wider[2 * i] = wider[2 * i + 1] = directory_[i];
    std::free(directory_);
    directory_ = wider;
    ++depth_;
  }

  void split(size_t index) {
    if (directory_[index].depth == depth_) {
      double_directory();
      index *= 2;
    }
    const Segment old = directory_[index];
    const size_t entries = span(index);
    const size_t first = index & ~(entries - 1);
    const int depth = old.depth + 1;
    // The bit that decides is kept in any slot, so that counting touches no item.
    size_t items = 0, right_items = 0;
    for_each_slot(old, old.depth, [&](uint64_t hash, uint8_t, uint64_t) {
      ++items;
      right_items += first_bits(hash, depth) & 1;
    });
    const Segment left = new_segment(fitting(items - right_items), depth);
    const Segment right = new_segment(fitting(right_items), depth);
    for_each_slot(old, depth, [&](uint64_t hash, uint8_t tag, uint64_t slot) {
      move_to(first_bits(hash, depth) & 1 ? right : left, hash, tag, slot);
    });
    for (size_t i = 0; i < entries; ++i) directory_[first + i] = i < entries / 2 ? left : right;
    free_segment(old);
  }

  /// Gives memory back while the table is nearly empty, a little at each call.
  void shrink() {
    if (!directory_ || size_ * 8 >= capacity()) return;
    if (segments_ > 1) {
      merge_one();
    } else if (buckets_ > 1) {
      // Room for twice as many, so that a table whose size goes up and down is not moved each time.
      resize(0, fitting(2 * size_));
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
    const Segment halves[2] = {directory_[left], directory_[right]};
    const int depth = one.depth - 1;
    size_t items = 0;
    for (const Segment& half : halves) for_each_slot(half, half.depth, [&](uint64_t, uint8_t, uint64_t) { ++items; });
    if (2 * items > kMaxBuckets * kSlots) return;
    const Segment merged = new_segment(fitting(2 * items), depth);
    for (const Segment& half : halves)
      for_each_slot(half, depth, [&](uint64_t hash, uint8_t tag, uint64_t slot) { move_to(merged, hash, tag, slot); });
    for (size_t i = left; i < left + 2 * width; ++i) directory_[i] = merged;
    for (const Segment& half : halves) free_segment(half);
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
      free_pages(directory_[i]);
      i = next;
    }
    std::free(directory_);
  }

  Segment* directory_ = nullptr;
  size_t size_ = 0;
  size_t segments_ = 0;
  size_t merge_at_ = 0;
  size_t buckets_ = 0;
  int depth_ = 0;
};

}  // namespace quartet::storage
