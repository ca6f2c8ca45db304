#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/pauses.h"
#include "storage/dict.h"

namespace quartet::storage {

/// A dict that owns its items and counts their bytes: what the tables of large hashes and sets have in common. It lives
/// on the heap.
///
/// `Table` is the class that derives from it. An item has `memory()`, its bytes as memory is accounted for, `clone()`
/// and `static void free(Item*)`; its member function `kKey` gives the key by which it is found.
template <class Table, class ItemOfTable, auto kKey>
class ItemTable {
 public:
  using Item = ItemOfTable;

  ItemTable(const ItemTable&) = delete;
  ItemTable& operator=(const ItemTable&) = delete;
  std::unique_ptr<Table> clone(Pauses* pauses) const;

  size_t size() const { return dict_.size(); }
  /// Bytes of everything it owns and of itself, as the allocator counts them.
  size_t memory() const { return own_bytes_ + item_bytes_ + dict_.memory(); }
  /// Roughly how many blocks its destruction frees.
  size_t allocations() const { return dict_.size(); }

  /// See prefetch_element.
  void prefetch(uint64_t hash) const { dict_.prefetch(hash); }
  void prefetch_item(uint64_t hash) const { dict_.prefetch_item(hash); }

  const Item* find(std::string_view key) const { return dict_.find(key); }
  /// Returns whether there was such an item.
  bool erase(std::string_view key);

  /// Calls `visit(const Item&)` for every item until it returns false.
  template <class Visit>
  void for_each(Visit visit) const {
    dict_.for_each([&](const Item& item, bool) { return visit(item); });
  }
  /// See Dict::scan.
  template <class Visit>
  uint64_t scan(uint64_t cursor, Visit visit) const {
    return dict_.scan(cursor, visit);
  }
  const Item* random(Random& generator) const { return dict_.random(generator); }

 protected:
  ItemTable();
  ~ItemTable();

  struct Traits {
    using Item = ItemOfTable;
    static std::string_view key(const Item& item) { return (item.*kKey)(); }
  };

  /// REQUIRES: there is no item of its key.
  [[gnu::always_inline]] void insert(uint64_t hash, Item* item) {
    item_bytes_ += item->memory();
    dict_.insert(hash, item);
  }

  Dict<Traits> dict_;
  size_t item_bytes_ = 0;

 private:
  size_t own_bytes_;
};

}  // namespace quartet::storage
