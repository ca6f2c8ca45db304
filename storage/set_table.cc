#include "storage/set_table.h"

#include <new>

#include "base/slab.h"
#include "storage/item_table_functions.h"

namespace quartet::storage {

MemberItem* MemberItem::make(std::string_view member) {
  const bool wide = member.size() >= kWide;
  const size_t prefix = wide ? 5 : 1;
  void* memory = blocks::allocate(prefix + member.size());
  auto* item = new (memory) MemberItem;
  char* raw = static_cast<char*>(memory);
  item->length_ = wide ? kWide : static_cast<uint8_t>(member.size());
  if (wide) {
    const auto length = static_cast<uint32_t>(member.size());
    std::memcpy(raw + 1, &length, 4);
  }
  if (!member.empty()) std::memcpy(raw + prefix, member.data(), member.size());
  return item;
}

void MemberItem::free(MemberItem* item) { blocks::free(item, item->bytes()); }

size_t MemberItem::bytes() const { return (length_ == kWide ? 5 : 1) + text().size(); }
size_t MemberItem::memory() const { return blocks::size(this, bytes()); }

template class ItemTable<SetTable, MemberItem, &MemberItem::text>;

bool SetTable::add(std::string_view member) {
  const uint64_t hash = dict_.hash(member);
  if (dict_.find(hash, member)) return false;
  insert(hash, MemberItem::make(member));
  return true;
}

}  // namespace quartet::storage
