#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/pauses.h"
#include "storage/dict.h"

namespace quartet::storage {

/// One member of a large set, in one allocation: [ length: 8; 255 = the 32 bits behind it ][ bytes ]
class MemberItem {
 public:
  static MemberItem* make(std::string_view member);
  static void free(MemberItem* item);

  std::string_view text() const {
    if (length_ != kWide) return {reinterpret_cast<const char*>(this) + 1, length_};
    uint32_t length;
    std::memcpy(&length, reinterpret_cast<const char*>(this) + 1, 4);
    return {reinterpret_cast<const char*>(this) + 5, length};
  }
  /// Bytes of its block, as memory is accounted for.
  size_t memory() const;

 private:
  size_t bytes() const;

  static constexpr uint8_t kWide = 255;
  uint8_t length_;
};

/// A large set: the members of SetValue where they have outgrown one block.
class SetTable {
 public:
  SetTable();
  SetTable(const SetTable&) = delete;
  SetTable& operator=(const SetTable&) = delete;
  ~SetTable();
  std::unique_ptr<SetTable> clone(Pauses* pauses) const;

  size_t size() const { return dict_.size(); }
  /// Bytes of everything it owns and of itself, as the allocator counts them.
  size_t memory() const { return own_bytes_ + item_bytes_ + dict_.memory(); }
  /// Roughly how many blocks its destruction frees.
  size_t allocations() const { return dict_.size(); }

  /// See prefetch_element.
  void prefetch(uint64_t hash) const { dict_.prefetch(hash); }
  void prefetch_item(uint64_t hash) const { dict_.prefetch_item(hash); }

  bool contains(std::string_view member) const { return dict_.find(member) != nullptr; }
  /// Returns whether the member is new.
  bool add(std::string_view member);
  bool remove(std::string_view member);

  template <class Visit>
  void for_each(Visit visit) const {
    dict_.for_each([&](const MemberItem& item, bool) { return visit(item.text()); });
  }
  template <class Visit>
  uint64_t scan(uint64_t cursor, Visit visit) const {
    return dict_.scan(cursor, [&](const MemberItem& item) { visit(item.text()); });
  }
  const MemberItem* random(Random& generator) const { return dict_.random(generator); }

 private:
  struct Traits {
    using Item = MemberItem;
    static std::string_view key(const MemberItem& item) { return item.text(); }
  };

  Dict<Traits> dict_;
  size_t item_bytes_ = 0;
  size_t own_bytes_;
};

}  // namespace quartet::storage
