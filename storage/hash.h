#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/numbers.h"
#include "storage/element_walks.h"
#include "storage/hash_table.h"
#include "storage/packed_value.h"

namespace quartet::storage {

/// A hash under a key: fields with values. Small ones are packed and keep the order in which their fields were added;
/// large ones are tables. A hash that has become a table remains one.
///
/// Views given out (also to `visit`) are good until the hash changes. An empty hash is left to the caller to erase.
class HashValue : public Handle {
 public:
  /// REQUIRES: entry->type() == Type::Hash.
  using Handle::Handle;

  /// Adds a key with an empty hash. REQUIRES: the key is not there.
  static HashValue create(Keyspace& keyspace, std::string_view key);
  /// Fields of a packed hash.
  static size_t packed_size(const Entry& entry) { return packed::count(entry.bytes()) / 2; }

  size_t size() const { return is_packed() ? packed_size(*entry) : table().size(); }
  bool empty() const { return size() == 0; }

  bool contains(std::string_view field) const;
  /// The field's value; integers may be written to `scratch`, at least kNumberChars bytes.
  std::optional<std::string_view> get(std::string_view field, char* scratch) const;
  /// The block of a value longer than FieldItem::kSharedValueBytes, so that a reply can refer to it; else (and where
  /// there is no such field) an empty reference.
  SharedBytes shared(std::string_view field) const;

  /// Sets a field and returns whether it is new. REQUIRES: neither view is into this keyspace.
  bool set(std::string_view field, std::string_view value);
  /// Removes a field and returns whether it was there. `field` may be a view that this hash gave out.
  bool erase(std::string_view field);

  /// Calls `visit(string_view field, string_view value)` for every field until it returns false. The hash must not
  /// change meanwhile.
  template <class Visit>
  void for_each(Visit visit) const;
  /// Calls `visit(field, value)` for about `count` fields beginning at `cursor`, and returns the next cursor; 0 is the
  /// first cursor and the answer at the end. A packed hash is visited whole.
  template <class Visit>
  uint64_t scan(uint64_t cursor, size_t count, Visit visit) const;

  /// Calls `visit(field, value)` for `count` different fields chosen at random (for all, where there are not more).
  template <class Visit>
  void sample(size_t count, Random& generator, Visit visit, Pauses* pauses = nullptr) const;
  /// Calls `visit(field, value)` for a field chosen at random, `count` times. Does nothing on an empty hash.
  template <class Visit>
  void draw(size_t count, Random& generator, Visit visit) const;

 private:
  bool is_packed() const { return entry->encoding() == Encoding::Packed; }
  HashTable& table() const { return entry->table<HashTable>(); }
  const HashTable* large_table() const { return is_packed() ? nullptr : &table(); }
  void convert_to_table();

  /// Calls `visit(field, value)` for the packed pair at `offset` and moves `offset` behind it.
  template <class Visit>
  static bool visit_pair(std::string_view block, size_t& offset, Visit& visit) {
    char field_scratch[kNumberChars], value_scratch[kNumberChars];
    const packed::Element field = packed::read_element(block, offset, offset);
    const packed::Element value = packed::read_element(block, offset, offset);
    return visit(field.text(field_scratch), value.text(value_scratch));
  }
};

template <class Visit>
void HashValue::for_each(Visit visit) const {
  if (!is_packed()) return table().for_each([&](const FieldItem& item) { return visit(item.field(), item.value()); });
  const std::string_view block = entry->bytes();
  for (size_t offset = packed::kHeaderBytes; offset < block.size();)
    if (!visit_pair(block, offset, visit)) return;
}

template <class Visit>
uint64_t HashValue::scan(uint64_t cursor, size_t count, Visit visit) const {
  return scan_elements(*this, large_table(), cursor, count, visit);
}

template <class Visit>
void HashValue::sample(size_t count, Random& generator, Visit visit, Pauses* pauses) const {
  sample_elements(*this, large_table(), count, generator, visit, pauses);
}

template <class Visit>
void HashValue::draw(size_t count, Random& generator, Visit visit) const {
  if (empty()) return;
  if (!is_packed()) {
    for (; count > 0; --count) {
      const FieldItem* item = table().random(generator);
      visit(item->field(), item->value());
    }
    return;
  }
  const std::string_view block = entry->bytes();
  const auto visit_at = [&](size_t offset) {
    const auto visit_always = [&](std::string_view field, std::string_view value) {
      visit(field, value);
      return true;
    };
    visit_pair(block, offset, visit_always);
  };
  const auto behind = [&](size_t offset) { return packed::skip(block, packed::skip(block, offset)); };
  if (count == 1) {
    size_t offset = packed::kHeaderBytes;
    for (uint64_t steps = generator.below(size()); steps > 0; --steps) offset = behind(offset);
    return visit_at(offset);
  }
  std::vector<uint32_t> offsets;
  offsets.reserve(size());
  for (size_t offset = packed::kHeaderBytes; offset < block.size(); offset = behind(offset))
    offsets.push_back(static_cast<uint32_t>(offset));
  for (; count > 0; --count) visit_at(offsets[generator.below(offsets.size())]);
}

}  // namespace quartet::storage
