#pragma once

#include <cassert>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/shared_bytes.h"

namespace quartet::storage {

enum class Type : uint8_t { String, List, Set, Hash, SortedSet };

/// TYPE's name for it; empty for what is none of them.
constexpr std::string_view type_name(Type type) {
  switch (type) {
    case Type::String: return "string";
    case Type::List: return "list";
    case Type::Set: return "set";
    case Type::Hash: return "hash";
    case Type::SortedSet: return "zset";
  }
  return {};
}

/// How many types there are.
inline constexpr size_t kTypes = [] {
  size_t types = 0;
  while (!type_name(static_cast<Type>(types)).empty()) ++types;
  return types;
}();

/// How an entry's value lies in memory. OBJECT ENCODING's names are derived from it (see encoding_name).
enum class Encoding : uint8_t {
  Bytes,   ///< string: the bytes, inside the entry
  Int,     ///< string: a 64-bit integer, inside the entry
  Shared,  ///< string longer than limits::kInlineStringBytes: a SharedBytes block
  Packed,  ///< small collection: one packed block (packed.h), inside the entry
  Intset,  ///< small set of integers, sorted, inside the entry
  Table,   ///< large collection: a pointer to the type's own structure
};

/// What the clients of memcached's protocol keep with a string beside its value.
struct Note {
  /// The client's own 32 bits: how it has encoded the value.
  uint32_t client_flags = 0;
  /// The value's unique number ("cas"), below 2^62; 0 where nobody has asked for it since the value changed.
  uint64_t cas = 0;
  /// The value is to be made anew and is served meanwhile.
  bool stale = false;
  /// A client has been told to make it anew.
  bool won = false;

  /// Whether there is nothing to be kept.
  bool empty() const { return client_flags == 0 && cas == 0 && !stale && !won; }
};
inline constexpr Note kNoNote;

/// One key with its value: a single allocation where the value is small.
///
///   0                                             4                 5               6                 8
///   [ lru:24 type:3 fetched:1 encoding:3 noted:1 ][ flags:4 mark:4 ][ key length:8 ][ value length:16 ]
///   [ key length:32, value length:32 ]   only where the flag kWide is set: a length does not fit above
///   [ expiry:63, ms since the epoch; by default:1 ]   only where the flag kExpires is set
///   [ integer or pointer: 64 ]           only for Int, Shared and Table
///   [ key bytes ][ value bytes ]         value bytes only for Bytes, Packed and Intset
///   [ client flags:32 ][ cas:62 stale:1 won:1 ]   only where `noted` is set: a Note, of a string
///
/// The note stands last, so that an entry without one is read as if there were none.
///
/// Entries are made, reshaped and freed by their Keyspace, which accounts for them.
class Entry {
 public:
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  Type type() const { return static_cast<Type>(type_); }
  Encoding encoding() const { return static_cast<Encoding>(encoding_); }
  std::string_view key() const { return {text(), key_length()}; }

  bool expires() const { return flags_ & kExpires; }
  /// Milliseconds since the epoch at which the entry ceases to be; -1 where it has none.
  int64_t expiry() const { return expires() ? load(fixed()) & ~kByDefault : -1; }
  /// Whether it has an expiry that nobody has asked for (see Keyspace::set_default_expiry).
  bool expires_by_default() const { return expires() && (load(fixed()) & kByDefault); }
  bool expired(int64_t now_ms) const { return expires() && expiry() <= now_ms; }

  /// The value where it lies inside the entry. REQUIRES: has_bytes(encoding()).
  std::string_view bytes() const { return {text() + key_length(), value_length()}; }
  char* mutable_bytes() { return text() + key_length(); }
  /// REQUIRES: encoding() == Int.
  int64_t integer() const { return load(payload()); }
  void set_integer(int64_t value) { store(payload(), value); }
  /// REQUIRES: encoding() is Shared or Table.
  void* pointer() const { return reinterpret_cast<void*>(load(payload())); }
  void set_pointer(void* value) { store(payload(), reinterpret_cast<int64_t>(value)); }
  template <class T>
  T& table() const {
    return *static_cast<T*>(pointer());
  }

  /// 24 bits for the eviction policy: a clock of last access (LRU) or a clock and a counter (LFU).
  uint32_t access() const { return access_; }
  void set_access(uint32_t bits) { access_ = bits; }

  /// Set on a string that was changed in place (APPEND, SETRANGE, ...): its encoding is then "raw" at any length.
  bool modified() const { return flags_ & kModified; }
  void set_modified() { flags_ |= kModified; }

  /// Whether a command has read it since its value was set.
  bool fetched() const { return fetched_; }
  void set_fetched(bool fetched) { fetched_ = fetched; }

  bool noted() const { return noted_; }
  /// Empty where it has none.
  Note note() const;
  uint32_t client_flags() const {
    uint32_t flags = 0;
    if (noted_) std::memcpy(&flags, note_place(), sizeof flags);
    return flags;
  }
  /// The value has changed and is not what a client was told the number of.
  void forget_cas() {
    if (noted_) [[unlikely]]
      drop_cas();
  }

  /// The bytes of its block, as they were asked for.
  size_t size() const {
    const bool bytes = has_bytes(encoding());
    return size_for(key_length(), {type(), encoding(), bytes ? value_length() : 0, expires(), noted()});
  }

  static bool has_bytes(Encoding encoding) {
    return encoding == Encoding::Bytes || encoding == Encoding::Packed || encoding == Encoding::Intset;
  }

 private:
  friend class Keyspace;
  friend class SnapshotWalk;

  static constexpr uint8_t kExpires = 1, kWide = 2, kModified = 4, kPostponed = 8;
  static constexpr uint8_t kMark = 0xf0;
  static constexpr size_t kNoteBytes = 12;
  static constexpr int64_t kByDefault = INT64_MIN;

  struct Shape {
    Type type;
    Encoding encoding;
    size_t value_bytes;  // 0 unless has_bytes(encoding)
    bool expires;
    bool noted = false;
  };

  Entry() = default;
  /// As it lies there. REQUIRES: expires().
  int64_t expiry_word() const { return load(fixed()); }
  /// The two things that a SnapshotWalk remembers with an entry.
  unsigned mark() const { return flags_ >> 4; }
  void set_mark(unsigned mark) { flags_ = static_cast<uint8_t>((flags_ & ~kMark) | mark << 4); }
  bool postponed() const { return flags_ & kPostponed; }
  void set_postponed(bool postponed) {
    flags_ = static_cast<uint8_t>(postponed ? flags_ | kPostponed : flags_ & ~kPostponed);
  }
  static bool wide(size_t key_bytes, size_t value_bytes) { return key_bytes > 0xff || value_bytes > 0xffff; }
  static size_t size_for(size_t key_bytes, const Shape& shape) {
    return 8 + (wide(key_bytes, shape.value_bytes) ? 8 : 0) + (shape.expires ? 8 : 0) +
           (has_bytes(shape.encoding) ? 0 : 8) + key_bytes + shape.value_bytes + (shape.noted ? kNoteBytes : 0);
  }
  /// Writes the header and lengths of an entry of this shape; the caller writes expiry, key, value and note.
  void format(size_t key_bytes, const Shape& shape);

  uint32_t* lengths() const { return reinterpret_cast<uint32_t*>(const_cast<Entry*>(this) + 1); }
  size_t key_length() const { return flags_ & kWide ? lengths()[0] : key_length_; }
  size_t value_length() const { return flags_ & kWide ? lengths()[1] : value_length_; }
  void set_value_length(size_t n) {
    if (flags_ & kWide) {
      lengths()[1] = static_cast<uint32_t>(n);
    } else {
      value_length_ = static_cast<uint16_t>(n);
    }
  }

  char* fixed() const {
    return reinterpret_cast<char*>(const_cast<Entry*>(this) + 1) + (flags_ & kWide ? 8 : 0);
  }
  char* payload() const { return fixed() + (flags_ & kExpires ? 8 : 0); }
  char* text() const { return payload() + (has_bytes(encoding()) ? 0 : 8); }
  char* note_place() const { return text() + key_length() + (has_bytes(encoding()) ? value_length() : 0); }
  /// REQUIRES: noted().
  void store_note(const Note& note);
  void drop_cas();
  static int64_t load(const char* at) {
    int64_t value;
    std::memcpy(&value, at, 8);
    return value;
  }
  static void store(char* at, int64_t value) { std::memcpy(at, &value, 8); }

  uint32_t access_ : 24;
  uint32_t type_ : 3;
  uint32_t fetched_ : 1;
  uint32_t encoding_ : 3;
  uint32_t noted_ : 1;
  uint8_t flags_;
  uint8_t key_length_;
  uint16_t value_length_;
};
static_assert(sizeof(Entry) == 8, "the header of an entry is one word");

}  // namespace quartet::storage
