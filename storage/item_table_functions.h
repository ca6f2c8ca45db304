#pragma once

#include <malloc.h>

#include "storage/item_table.h"

/// What of ItemTable is compiled once for each kind of items, together with them.
namespace quartet::storage {

template <class Table, class Item, auto kKey>
ItemTable<Table, Item, kKey>::ItemTable() : own_bytes_(malloc_usable_size(this)) {}

template <class Table, class Item, auto kKey>
ItemTable<Table, Item, kKey>::~ItemTable() {
  dict_.for_each([](Item& item, bool) {
    Item::free(&item);
    return true;
  });
}

template <class Table, class Item, auto kKey>
std::unique_ptr<Table> ItemTable<Table, Item, kKey>::clone(Pauses* pauses) const {
  auto copy = std::make_unique<Table>();
  for_each([&](const Item& item) {
    breathe(pauses, work_of_bytes(item.memory()));
    copy->insert(dict_.hash((item.*kKey)()), item.clone());
    return true;
  });
  return copy;
}

template <class Table, class Item, auto kKey>
bool ItemTable<Table, Item, kKey>::erase(std::string_view key) {
  Item* item = dict_.erase(dict_.hash(key), key);
  if (!item) return false;
  item_bytes_ -= item->memory();
  Item::free(item);
  return true;
}

}  // namespace quartet::storage
