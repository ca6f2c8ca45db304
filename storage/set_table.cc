#include "storage/set_table.h"

#include <malloc.h>

#include <new>

#include "base/slab.h"

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

SetTable::SetTable() : own_bytes_(malloc_usable_size(this)) {}

SetTable::~SetTable() {
  dict_.for_each([](MemberItem& item, bool) {
    MemberItem::free(&item);
    return true;
  });
}

std::unique_ptr<SetTable> SetTable::clone(Pauses* pauses) const {
  auto copy = std::make_unique<SetTable>();
  for_each([&](std::string_view member) {
    breathe(pauses, work_of_bytes(member.size()));
    copy->add(member);
    return true;
  });
  return copy;
}

bool SetTable::add(std::string_view member) {
  const uint64_t hash = dict_.hash(member);
  if (dict_.find(hash, member)) return false;
  MemberItem* item = MemberItem::make(member);
  item_bytes_ += item->memory();
  dict_.insert(hash, item);
  return true;
}

bool SetTable::remove(std::string_view member) {
  MemberItem* item = dict_.erase(dict_.hash(member), member);
  if (!item) return false;
  item_bytes_ -= item->memory();
  MemberItem::free(item);
  return true;
}

}  // namespace quartet::storage
