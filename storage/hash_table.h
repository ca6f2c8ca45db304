#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/pauses.h"
#include "base/shared_bytes.h"
#include "storage/dict.h"

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

  std::string_view field() const { return {field_at(), field_length()}; }
  std::string_view value() const;
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
class HashTable {
 public:
  HashTable();
  HashTable(const HashTable&) = delete;
  HashTable& operator=(const HashTable&) = delete;
  ~HashTable();
  std::unique_ptr<HashTable> clone(Pauses* pauses) const;

  size_t size() const { return dict_.size(); }
  /// Bytes of everything it owns and of itself, as the allocator counts them.
  size_t memory() const { return own_bytes_ + item_bytes_ + dict_.memory(); }
  /// Roughly how many blocks its destruction frees.
  size_t allocations() const { return dict_.size(); }

  /// See prefetch_element.
  void prefetch(uint64_t hash) const { dict_.prefetch(hash); }
  void prefetch_item(uint64_t hash) const { dict_.prefetch_item(hash); }

  const FieldItem* find(std::string_view field) const { return dict_.find(field); }
  /// Returns whether the field is new.
  bool set(std::string_view field, std::string_view value);
  bool erase(std::string_view field);

  template <class Visit>
  void for_each(Visit visit) const {
    dict_.for_each([&](const FieldItem& item, bool) { return visit(item); });
  }
  template <class Visit>
  uint64_t scan(uint64_t cursor, Visit visit) const {
    return dict_.scan(cursor, visit);
  }
  const FieldItem* random(Random& generator) const { return dict_.random(generator); }

 private:
  struct Traits {
    using Item = FieldItem;
    static std::string_view key(const FieldItem& item) { return item.field(); }
  };

  Dict<Traits> dict_;
  size_t item_bytes_ = 0;
  size_t own_bytes_;
};

}  // namespace quartet::storage
