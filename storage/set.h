#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/numbers.h"
#include "storage/element_walks.h"
#include "storage/intset.h"
#include "storage/packed_value.h"
#include "storage/set_table.h"

namespace quartet::storage {

/// A set under a key. A small set of integers is a sorted array (Intset), another small set is packed, a large one is a
/// table. A set never goes back to an earlier encoding.
///
/// Views given out (also to `visit`) are good until the set changes. An empty set is left to the caller to erase.
class SetValue : public Handle {
 public:
  /// REQUIRES: entry->type() == Type::Set.
  using Handle::Handle;

  /// Adds a key with an empty set, of integers to begin with. REQUIRES: the key is not there.
  static SetValue create(Keyspace& keyspace, std::string_view key);
  /// Members of a set that lies in its entry.
  static size_t packed_size(const Entry& entry) {
    return entry.encoding() == Encoding::Intset ? intset::count(entry.bytes()) : packed::count(entry.bytes());
  }

  size_t size() const { return entry->encoding() == Encoding::Table ? table().size() : packed_size(*entry); }
  bool empty() const { return size() == 0; }

  bool contains(std::string_view member) const;
  /// Adds a member and returns whether it is new. REQUIRES: the view is not into this keyspace.
  bool add(std::string_view member);
  /// Removes a member and returns whether it was there. `member` may be a view that this set gave out.
  bool remove(std::string_view member);

  /// Calls `visit(string_view)` for every member until it returns false; integers ascend. The set must not change
  /// meanwhile.
  template <class Visit>
  void for_each(Visit visit) const;
  /// Calls `visit(member)` for about `count` members beginning at `cursor`, and returns the next cursor; 0 is the first
  /// cursor and the answer at the end. A set inside its entry is visited whole.
  template <class Visit>
  uint64_t scan(uint64_t cursor, size_t count, Visit visit) const;

  /// A member chosen at random; integers may be written to `scratch`, at least kNumberChars bytes. REQUIRES: !empty().
  std::string_view random(Random& generator, char* scratch) const;
  /// Calls `visit(member)` for `count` different members chosen at random (for all, where there are not more).
  template <class Visit>
  void sample(size_t count, Random& generator, Visit visit, Pauses* pauses = nullptr) const;
  /// Calls `visit(member)` for a member chosen at random, `count` times. Does nothing on an empty set.
  template <class Visit>
  void draw(size_t count, Random& generator, Visit visit) const;
  /// Removes a member chosen at random, after calling `visit(member)`. REQUIRES: !empty().
  template <class Visit>
  void pop(Random& generator, Visit visit) {
    char scratch[kNumberChars];
    const std::string_view member = random(generator, scratch);
    visit(member);
    remove(member);
  }

 private:
  SetTable& table() const { return entry->table<SetTable>(); }
  const SetTable* large_table() const { return entry->encoding() == Encoding::Table ? &table() : nullptr; }
  void insert_integer(size_t index, int64_t value);
  bool fits_packed(size_t members, size_t longest) const;
  void convert_to_packed();
  void convert_to_table();
  bool add_packed(std::string_view member);
};

template <class Visit>
void SetValue::for_each(Visit visit) const {
  char scratch[kNumberChars];
  switch (entry->encoding()) {
    case Encoding::Intset: {
      const std::string_view block = entry->bytes();
      const size_t members = intset::count(block);
      for (size_t i = 0; i < members; ++i)
        if (!visit(std::string_view(scratch, format_int(intset::get(block, i), scratch)))) return;
      return;
    }
    case Encoding::Packed: {
      const std::string_view block = entry->bytes();
      for (size_t offset = packed::kHeaderBytes; offset < block.size();)
        if (!visit(packed::read_element(block, offset, offset).text(scratch))) return;
      return;
    }
    case Encoding::Table: return table().for_each([&](const MemberItem& item) { return visit(item.text()); });
    case Encoding::Bytes:
    case Encoding::Int:
    case Encoding::Shared: break;  // of strings
  }
}

template <class Visit>
uint64_t SetValue::scan(uint64_t cursor, size_t count, Visit visit) const {
  return scan_elements(*this, large_table(), cursor, count, visit);
}

template <class Visit>
void SetValue::sample(size_t count, Random& generator, Visit visit, Pauses* pauses) const {
  sample_elements(*this, large_table(), count, generator, visit, pauses);
}

template <class Visit>
void SetValue::draw(size_t count, Random& generator, Visit visit) const {
  if (empty()) return;
  char scratch[kNumberChars];
  if (entry->encoding() != Encoding::Packed) {
    for (; count > 0; --count) visit(random(generator, scratch));
    return;
  }
  const std::string_view block = entry->bytes();
  std::vector<uint32_t> offsets;
  offsets.reserve(size());
  for (size_t offset = packed::kHeaderBytes; offset < block.size(); offset = packed::skip(block, offset))
    offsets.push_back(static_cast<uint32_t>(offset));
  for (; count > 0; --count) {
    size_t next;
    visit(packed::read_element(block, offsets[generator.below(offsets.size())], next).text(scratch));
  }
}

}  // namespace quartet::storage
