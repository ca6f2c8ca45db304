#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "storage/item_table.h"

namespace quartet::storage {

/// One member of a large set, in one allocation: [ length: 8; 255 = the 32 bits after it ][ bytes ]
class MemberItem {
 public:
  static MemberItem* make(std::string_view member);
  static void free(MemberItem* item);
  MemberItem* clone() const { return make(text()); }

  std::string_view text() const {
    if (length_ != kWide) return {reinterpret_cast<const char*>(this) + 1, length_};
    uint32_t length;
    std::memcpy(&length, reinterpret_cast<const char*>(this) + 1, 4);
    return {reinterpret_cast<const char*>(this) + 5, length};
  }
  /// Calls `visit(member)`.
  template <class Visit>
  void apply(Visit& visit) const {
    visit(text());
  }
  /// Bytes of its block, as memory is accounted for.
  size_t memory() const;

 private:
  size_t bytes() const;

  static constexpr uint8_t kWide = 255;
  uint8_t length_;
};

/// A large set: the members of SetValue where they have outgrown one block.
class SetTable : public ItemTable<SetTable, MemberItem, &MemberItem::text> {
 public:
  /// Returns whether the member is new.
  bool add(std::string_view member);
};

extern template class ItemTable<SetTable, MemberItem, &MemberItem::text>;

}  // namespace quartet::storage
