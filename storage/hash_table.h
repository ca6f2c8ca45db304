#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/shared_bytes.h"
#include "storage/item_table.h"

namespace quartet::storage {

/// One field of a large hash with its value, in one allocation:
///
///   [ flags: 8 ][ field length: 8 or 32 ][ value length: 8 or 32 ][ field bytes ][ value bytes ]
///
/// A value longer than kSharedValueBytes lies in a block of its own; the pointer to that then stands in the place of
/// the value's bytes, and replies can refer to the block.
class FieldItem {
 public:
  static constexpr size_t kSharedValueBytes = 4096;

  static FieldItem* make(std::string_view field, std::string_view value);
  static void free(FieldItem* item);
  FieldItem* clone() const { return make(field(), value()); }

  std::string_view field() const { return {field_at(), field_length()}; }
  std::string_view value() const;
  /// Calls `visit(field, value)`.
  template <class Visit>
  void apply(Visit& visit) const {
    visit(field(), value());
  }
  /// The value's block where it has one; else an empty reference.
  SharedBytes shared() const;
  /// Puts `value` in the place of the old one where this allocation suits it; false where it does not.
  bool replace_value(std::string_view value);
  /// Bytes of all its allocations, as memory is accounted for.
  size_t memory() const;

 private:
  static constexpr uint8_t kWideField = 1, kWideValue = 2, kShared = 4;

  static uint8_t flags_for(std::string_view field, std::string_view value);
  static size_t prefix_bytes(uint8_t flags) { return 1 + (flags & kWideField ? 4 : 1) + (flags & kWideValue ? 4 : 1); }
  static size_t size_for(uint8_t flags, size_t field_bytes, size_t value_bytes) {
    return prefix_bytes(flags) + field_bytes + (flags & kShared ? sizeof(void*) : value_bytes);
  }

  const char* raw() const { return reinterpret_cast<const char*>(this); }
  char* raw() { return reinterpret_cast<char*>(this); }
  const char* field_at() const { return raw() + prefix_bytes(flags_); }
  size_t field_length() const { return load(raw() + 1, flags_ & kWideField); }
  size_t value_length() const { return load(raw() + value_length_offset(), flags_ & kWideValue); }
  size_t bytes() const { return size_for(flags_, field_length(), value_length()); }
  size_t value_length_offset() const { return flags_ & kWideField ? 5 : 2; }
  const char* value_at() const { return field_at() + field_length(); }
  char* value_at() { return const_cast<char*>(static_cast<const FieldItem*>(this)->value_at()); }
  void* block() const {
    void* pointer;
    std::memcpy(&pointer, value_at(), sizeof pointer);
    return pointer;
  }
  void write_value(std::string_view value);
  static size_t load(const char* at, bool wide) {
    if (!wide) return static_cast<uint8_t>(*at);
    uint32_t length;
    std::memcpy(&length, at, 4);
    return length;
  }
  static void store(char* at, bool wide, size_t length) {
    const auto value = static_cast<uint32_t>(length);
    if (wide) {
      std::memcpy(at, &value, 4);
    } else {
      *at = static_cast<char>(value);
    }
  }

  uint8_t flags_;
};

/// A large hash: the fields of HashValue where they have outgrown one packed block.
class HashTable : public ItemTable<HashTable, FieldItem, &FieldItem::field> {
 public:
  /// Returns whether the field is new.
  bool set(std::string_view field, std::string_view value);
};

extern template class ItemTable<HashTable, FieldItem, &FieldItem::field>;

}  // namespace quartet::storage
