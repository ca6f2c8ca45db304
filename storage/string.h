#pragma once

#include <cstdint>
#include <string_view>

#include "base/numbers.h"
#include "base/shared_bytes.h"
#include "storage/keyspace.h"

namespace quartet::storage {

/// A string under a key. Integers in canonical form are kept as integers, short strings inside the entry, long ones in
/// a block that replies may refer to.
class StringValue : public Handle {
 public:
  /// REQUIRES: entry->type() == Type::String.
  using Handle::Handle;

  /// Creates a key with this value, or gives an existing entry of any type this value. The expiry is what is given: -1
  /// is none; and so is the note.
  static Entry* assign(Keyspace& keyspace, Entry* entry, std::string_view key, std::string_view value,
                       int64_t expiry_ms = -1, const Note& note = kNoNote);

  /// The same for a value that stays text although it may look like an integer, as Redis keeps the results of
  /// INCRBYFLOAT.
  static Entry* assign_text(Keyspace& keyspace, Entry* entry, std::string_view key, std::string_view value,
                            int64_t expiry_ms = -1, const Note& note = kNoNote);

  /// What `assign` would make under a key that is not there, in no keyspace yet (see Keyspace::make).
  static Entry* make(const Keyspace& keyspace, std::string_view key, std::string_view value, int64_t expiry_ms = -1);

  size_t size() const;
  /// The value as text. Integers are written to `scratch`, at least kNumberChars bytes; else the view is into the value
  /// and good until it changes.
  std::string_view view(char* scratch) const;
  /// The value's block where it has one, so that a reply can refer to it; else an empty reference.
  SharedBytes shared() const;
  /// The value as a 64-bit integer if it is one in canonical form.
  std::optional<int64_t> integer() const;

  // All that change the value forget its number (Note::cas), and leave the rest of the note.
  void set(std::string_view value);
  void set_integer(int64_t value);
  /// Makes the value at least `size` bytes long, new ones zero, and gives write access to all of it. The value becomes
  /// a raw string, as Redis calls it. REQUIRES: size <= limits::kBulkBytes.
  char* writable(size_t size, Pauses* pauses = nullptr);
  /// The same of a key that may be new (`entry` is null then); where memory runs out it is not made.
  static char* writable_or_new(Keyspace& keyspace, Entry* entry, std::string_view key, size_t size, Pauses* pauses);
  /// How many bytes `writable` copies or clears.
  size_t bytes_to_write(size_t size) const;
  void append(std::string_view tail, Pauses* pauses = nullptr);
  /// Gives it the bytes of a block, as a raw string. REQUIRES: nobody else refers to the block.
  void take(SharedBytes block);

 private:
  void assign_bytes(std::string_view value);
  void assign_block(SharedBytes block);
};

}  // namespace quartet::storage
