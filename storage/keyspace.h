#pragma once

#include <array>
#include <cassert>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/pauses.h"
#include "base/random.h"
#include "storage/dict.h"
#include "storage/entry.h"
#include "storage/thresholds.h"

namespace quartet::storage {

class Keyspace;
class SnapshotWalk;

/// Something that takes long to free; its destructor does it, on whatever thread it is called.
class Garbage {
 public:
  explicit Garbage(size_t bytes) : bytes_(bytes) {}
  virtual ~Garbage() = default;
  /// How much memory it takes.
  size_t bytes() const { return bytes_; }

 private:
  const size_t bytes_;
};

/// What a keyspace tells the server about changes it makes by itself, and the place where it leaves what is slow to
/// free.
class KeyspaceObserver {
 public:
  virtual ~KeyspaceObserver() = default;
  /// `entry` has expired and is about to be erased.
  virtual void expired(Keyspace& keyspace, std::string_view key) = 0;
  /// Whether entries that have expired are not found, but stay where they are.
  virtual bool keeps_expired() const { return false; }
  /// The entry is about to be erased by `evict`.
  virtual void evicted(Keyspace&, std::string_view) {}
  /// An entry was added, while announce_new(true) is in force.
  virtual void created(Keyspace&, std::string_view) {}
  /// Takes what would take long to free, to destroy it on another thread.
  virtual void reclaim(std::unique_ptr<Garbage> garbage) = 0;
};

/// One logical database: its entries, their expiry, and the account of their memory. It knows no protocol and is told
/// the time. Entries move in memory when their shape changes; a pointer to an entry is good until a call that takes it
/// by reference (and changes it) or erases it. All entries of one keyspace charge their bytes to it, whatever they
/// hold.
class Keyspace {
 public:
  /// `thresholds` is read at every change of a collection, so that its owner may change them; it outlives the keyspace.
  Keyspace(int index, KeyspaceObserver& observer, const Thresholds& thresholds = kDefaultThresholds);
  Keyspace(const Keyspace&) = delete;
  Keyspace& operator=(const Keyspace&) = delete;
  ~Keyspace();

  int index() const { return index_; }
  /// Whether its owner is in the middle of long work on it, and nobody else may look up or change what is in it.
  /// Snapshots may go on, and so may whoever asks for figures.
  bool locked() const { return locked_; }
  void set_locked(bool locked) { locked_ = locked; }
  /// Whether the observer is told of new entries.
  void announce_new(bool announce) { announces_new_ = announce; }
  const Thresholds& thresholds() const { return thresholds_; }
  size_t size() const { return dict_.size(); }
  /// Entries with a value of this type.
  size_t count(Type type) const { return counts_[static_cast<size_t>(type)]; }
  /// Entries that have an expiry.
  size_t expiring() const { return expiring_; }
  /// Bytes of memory that the entries, their values and the tables take.
  size_t memory() const { return charged_ + dict_.memory(); }
  size_t table_memory() const { return dict_.memory(); }
  size_t capacity() const { return dict_.capacity(); }

  static uint64_t hash(std::string_view key) { return hash_bytes(key); }
  void prefetch(uint64_t hash) const { dict_.prefetch(hash); }
  void prefetch_item(uint64_t hash) const { dict_.prefetch_item(hash); }

  /// The live entry of a key, or null. An entry found to have expired is erased first, and the observer told.
  Entry* find(std::string_view key, int64_t now_ms) { return find(hash(key), key, now_ms); }
  Entry* find(uint64_t hash, std::string_view key, int64_t now_ms) {
    assert(!locked_);
    Entry* entry = dict_.find(hash, key);
    if (entry && entry->expires() && entry->expired(now_ms)) return drop_expired(entry);
    return entry;
  }
  /// The entry even where it has expired; nothing is erased.
  Entry* find_raw(std::string_view key) const { return dict_.find(key); }
  /// An entry whose key has this hash, even where it has expired; null where there is none.
  Entry* find_hashed(uint64_t hash) const { return dict_.find(hash); }

  /// Adds an entry with an empty value: no bytes, 0, or a null pointer by the encoding. Its expiry is -1 (none) or in
  /// ms since the epoch. REQUIRES: the key is not there; the note, where it is not empty, is a string's.
  Entry* create(std::string_view key, Type type, Encoding encoding, size_t value_bytes = 0, int64_t expiry_ms = -1,
                const Note& note = kNoNote);
  /// The same entry in no keyspace yet: for `insert_new`, or `dispose`.
  Entry* make(std::string_view key, Type type, Encoding encoding, size_t value_bytes = 0, int64_t expiry_ms = -1,
              const Note& note = kNoNote) const;
  /// Gives an existing entry another type or encoding and an empty value, as `create` does; the old value is disposed
  /// of. Key and expiry remain, and a string's note where it remains one.
  void reset(Entry*& entry, Type type, Encoding encoding, size_t value_bytes = 0);
  /// Makes the value inside the entry `value_bytes` long; the first bytes remain, new ones are not initialised.
  /// REQUIRES: Entry::has_bytes(entry->encoding()).
  void resize(Entry*& entry, size_t value_bytes);
  /// Changes the encoding without disposing of the old value, whose structure the caller has taken over or emptied.
  void reencode(Entry*& entry, Encoding encoding, size_t value_bytes = 0);

  /// The access bits (see Entry::access) of entries that are created from now on: whoever keeps that clock sets it
  /// again and again.
  void set_new_access(uint32_t bits) { new_access_ = bits; }
  /// Whether they hold counters (LfuAccess), as eviction by LFU wants, or else a clock (LruAccess). This is the
  /// keyspace's, not its contents'.
  void count_accesses(bool count) { counts_accesses_ = count; }
  bool counts_accesses() const { return counts_accesses_; }

  /// To be called before an entry is changed by anything but the functions here, which see to it themselves: a snapshot
  /// that has not saved it yet does so now.
  void before_change(Entry* entry) {
    if (walk_) [[unlikely]]
      save_before_change(entry);
  }
  /// The same before the whole value is replaced: a large one leaves for the snapshot, and the entry has none, as after
  /// `reset` but of the old type and encoding.
  void before_replace(Entry*& entry) {
    if (walk_) [[unlikely]]
      save_before_replace(entry);
  }

  /// Sets the expiry in ms since the epoch; -1 removes it.
  void set_expiry(Entry*& entry, int64_t expiry_ms);
  /// The same for one that nobody has asked for (`default-ttl`): the entry tells of it until another one is set. It is
  /// not kept over a restart. REQUIRES: expiry_ms >= 0.
  void set_default_expiry(Entry*& entry, int64_t expiry_ms);
  /// Sets what a string keeps beside its value; an empty note takes no memory. REQUIRES: entry->type() == Type::String.
  void set_note(Entry*& entry, const Note& note);

  /// Erases an entry and frees it, on another thread where that would take long.
  void erase(Entry* entry);
  /// Erases an entry to make room, and tells the observer.
  void evict(Entry* entry);
  /// Takes an entry out, with its charge; the caller owns it and inserts it into a keyspace or disposes of it.
  Entry* unlink(Entry* entry);
  /// Takes an entry in under its own key. REQUIRES: the key is not there.
  void insert(Entry* entry);
  /// The same where the key may be there; false, with nothing done, where it is. `hash` is the key's.
  bool insert_new(uint64_t hash, Entry* entry);
  /// Makes room in the table for so many entries that are to come (see Dict::reserve). REQUIRES: size() == 0.
  void reserve(size_t entries) { dict_.reserve(entries); }
  /// Makes an entry with the same value and expiry under another key; in no keyspace yet.
  static Entry* clone(const Entry& entry, std::string_view key, Pauses* pauses = nullptr);
  /// The same entry under another key; in no keyspace. The value is moved, `entry` is freed. REQUIRES: unlinked.
  static Entry* rekey(Entry* entry, std::string_view key);

  /// Charges what a value's own structure has grown by (negative: shrunk). Used by the value types.
  void charge(int64_t bytes) { charged_ += static_cast<size_t>(bytes); }

  Entry* random(Random& generator) const { return dict_.random(generator); }
  /// See Dict::scan. Visits expired entries too.
  template <class Visit>
  uint64_t scan(uint64_t cursor, Visit visit) const {
    return dict_.scan(cursor, visit);
  }
  /// See Dict::walk_marked. Visits the entries that have an expiry.
  template <class Visit>
  uint64_t scan_expiring(uint64_t cursor, size_t buckets, Visit visit) const {
    return dict_.walk_marked(cursor, buckets, visit);
  }
  /// The snapshot that is being taken of the contents; null where there is none.
  SnapshotWalk* snapshot() const { return walk_; }
  /// Whether a snapshot that was given up has left marks on entries, which nobody but another snapshot sees.
  bool has_stale_marks() const { return stale_marks_ > 0 && !walk_; }
  /// Goes on with removing them through so many buckets.
  void clean_marks(size_t buckets);

  /// Calls `visit(Entry&)` until it returns false. The keyspace must not change meanwhile.
  template <class Visit>
  void for_each(Visit visit) const {
    dict_.for_each([&](Entry& entry, bool) { return visit(entry); });
  }

  /// Erases everything; the entries are freed by the observer's reclaim.
  void clear();
  /// Exchanges the contents, not the indices, of two keyspaces.
  void swap_contents(Keyspace& other);

  /// Goes on with the walk for expired entries through `buckets` more buckets and erases those it meets. Returns how
  /// many it erased. `looked_at` counts the entries with an expiry it met.
  size_t expire_slice(int64_t now_ms, size_t buckets, size_t& looked_at);
  /// Whether the walk has come round to its beginning.
  bool expire_walk_at_start() const { return expire_cursor_ == 0; }
  /// Mean time to live of the entries that the last walk met, in ms.
  int64_t average_ttl() const { return average_ttl_; }

 private:
  friend class SnapshotWalk;

  struct EntryTraits {
    using Item = Entry;
    static std::string_view key(const Entry& entry) { return entry.key(); }
  };
  /// What was in a keyspace before it was cleared.
  struct Contents final : Garbage {
    using Garbage::Garbage;
    ~Contents() override;
    Dict<EntryTraits> dict;
  };

  static Entry* allocate(std::string_view key, const Entry::Shape& shape);
  /// Gives the entry another shape, in place where the allocation allows. The first value bytes remain where both
  /// shapes have bytes.
  void reshape(Entry*& entry, const Entry::Shape& shape);
  size_t& counter(Type type) { return counts_[static_cast<size_t>(type)]; }
  void taken_in(uint64_t hash, Entry* entry);
  void rebuild(Entry*& entry, bool expires, bool noted);
  void forget(Entry* entry);
  Entry* drop_expired(Entry* entry);
  void save_before_change(Entry* entry);
  void save_before_replace(Entry*& entry);
  /// Frees an entry that is in no keyspace, on another thread where that would take long.
  void discard(Entry* entry);

  const int index_;
  KeyspaceObserver& observer_;
  const Thresholds& thresholds_;
  Dict<EntryTraits> dict_;
  SnapshotWalk* walk_ = nullptr;
  std::array<size_t, kTypes> counts_{};  // of entries, by type
  size_t expiring_ = 0;
  size_t charged_ = 0;
  bool announces_new_ = false;
  bool locked_ = false;
  bool counts_accesses_ = false;
  uint32_t new_access_ = 0;

  // See SnapshotWalk; they belong to the contents.
  unsigned mark_ = 0;         // the mark of the last snapshot
  unsigned stale_marks_ = 0;  // snapshots given up since the last time when no entry had a mark
  uint64_t clean_cursor_ = 0;

  uint64_t expire_cursor_ = 0;
  long double ttl_sum_ = 0;  // 64 bits hold any one time to live, but not the sum of two
  int64_t ttl_count_ = 0;
  int64_t average_ttl_ = 0;
};

/// One entry of a keyspace, through which a value type reads and changes it; `entry` follows when the entry moves.
/// The value types (ListValue, HashValue, ...) are handles with the operations of their type. They are cheap to make
/// and kept no longer than a command runs.
struct Handle {
  Handle(Keyspace& of, Entry* handled) : keyspace(of), entry(handled) {}
  Keyspace& keyspace;
  Entry* entry;
};

// Over all types (value.cc):

/// Bytes of the entry and of everything it owns, as the allocator counts them.
size_t memory_of(const Entry& entry);
/// Elements of a collection, 1 for a string.
size_t length_of(const Entry& entry);
/// A deep copy of the structure of a value that lies outside its entry (Shared, Table), or the integer of an Int.
void* clone_value(const Entry& entry, Pauses* pauses = nullptr);
/// What it takes to go through the whole value, in the unit of Pauses.
size_t work_of(const Entry& entry);
/// The same for so many of its elements, if they are as large as the others.
size_t work_of(const Entry& entry, size_t count);
/// Asks for the memory that a look-up of this element, by its hash, reads first in a large set, hash or sorted set.
void prefetch_element(const Entry& entry, uint64_t hash);
/// Asks for the element itself; best some time after `prefetch_element`.
void prefetch_element_item(const Entry& entry, uint64_t hash);
/// Whether freeing it should be left to another thread.
bool is_slow_to_free(const Entry& entry);
/// Frees what the entry's value owns outside the entry.
void dispose_value(Entry* entry);
/// Frees an entry that is in no keyspace, with everything it owns. Safe on any thread.
void dispose(Entry* entry);
/// OBJECT ENCODING's name for it, as Redis 7.0 would say.
std::string_view encoding_name(const Entry& entry);

}  // namespace quartet::storage
