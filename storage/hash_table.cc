#include "storage/hash_table.h"

#include <malloc.h>

#include <new>

#include "base/slab.h"
#include "storage/item_table_functions.h"

namespace quartet::storage {

namespace {

size_t usable(const void* allocation) { return malloc_usable_size(const_cast<void*>(allocation)); }

void copy(char* out, std::string_view bytes) {
  if (!bytes.empty()) std::memcpy(out, bytes.data(), bytes.size());
}

}  // namespace

uint8_t FieldItem::flags_for(std::string_view field, std::string_view value) {
  uint8_t flags = field.size() > 0xff ? kWideField : 0;
  if (value.size() > 0xff) flags |= kWideValue;
  if (value.size() > kSharedValueBytes) flags |= kShared;
  return flags;
}

FieldItem* FieldItem::make(std::string_view field, std::string_view value) {
  const uint8_t flags = flags_for(field, value);
  void* memory = blocks::allocate(size_for(flags, field.size(), value.size()));
  auto* item = new (memory) FieldItem;
  item->flags_ = flags;
  store(item->raw() + 1, flags & kWideField, field.size());
  copy(item->raw() + prefix_bytes(flags), field);
  item->write_value(value);
  return item;
}

void FieldItem::free(FieldItem* item) {
  if (item->flags_ & kShared) SharedBytes::adopt(item->block());
  blocks::free(item, item->bytes());
}

/// REQUIRES: the item has no block, or has lost it.
void FieldItem::write_value(std::string_view value) {
  store(raw() + value_length_offset(), flags_ & kWideValue, value.size());
  if (flags_ & kShared) {
    void* block = SharedBytes::copy_of(value).release();
    std::memcpy(value_at(), &block, sizeof block);
  } else {
    copy(value_at(), value);
  }
}

std::string_view FieldItem::value() const {
  if (!(flags_ & kShared)) return {value_at(), value_length()};
  SharedBytes borrowed = SharedBytes::adopt(block());
  const std::string_view bytes = borrowed.view();
  borrowed.release();
  return bytes;
}

SharedBytes FieldItem::shared() const {
  if (!(flags_ & kShared)) return {};
  SharedBytes borrowed = SharedBytes::adopt(block());
  SharedBytes reference = borrowed;
  borrowed.release();
  return reference;
}

bool FieldItem::replace_value(std::string_view value) {
  const uint8_t flags = flags_for(field(), value);
  if (flags != flags_ || !blocks::fits_in_place(this, bytes(), size_for(flags, field_length(), value.size())))
    return false;
  if (flags_ & kShared) SharedBytes::adopt(block());
  write_value(value);
  return true;
}

size_t FieldItem::memory() const { return blocks::size(this, bytes()) + (flags_ & kShared ? usable(block()) : 0); }

template class ItemTable<HashTable, FieldItem, &FieldItem::field>;

bool HashTable::set(std::string_view field, std::string_view value) {
  const uint64_t hash = dict_.hash(field);
  FieldItem* old = dict_.find(hash, field);
  if (!old) {
    insert(hash, FieldItem::make(field, value));
    return true;
  }
  item_bytes_ -= old->memory();
  if (old->replace_value(value)) {
    item_bytes_ += old->memory();
    return false;
  }
  FieldItem* item = FieldItem::make(field, value);
  item_bytes_ += item->memory();
  dict_.replace(hash, old, item, false);
  FieldItem::free(old);
  return false;
}

}  // namespace quartet::storage
