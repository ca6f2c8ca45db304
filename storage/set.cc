#include "storage/set.h"

#include <algorithm>
#include <string>

#include "storage/charge_guard.h"

namespace quartet::storage {

SetValue SetValue::create(Keyspace& keyspace, std::string_view key) {
  Entry* entry = keyspace.create(key, Type::Set, Encoding::Intset, intset::kHeaderBytes);
  intset::set_width(entry->mutable_bytes(), intset::width_for(0));
  return {keyspace, entry};
}

bool SetValue::contains(std::string_view member) const {
  if (entry->encoding() == Encoding::Table) return table().find(member) != nullptr;
  const std::optional<int64_t> integer = parse_int(member);
  const std::string_view block = entry->bytes();
  if (entry->encoding() == Encoding::Intset) return integer && intset::find(block, *integer).found;
  return packed::find(block, packed::kHeaderBytes, member, integer, 1) != packed::kNotFound;
}

bool SetValue::add(std::string_view member) {
  if (entry->encoding() == Encoding::Intset) {
    if (const std::optional<int64_t> integer = parse_int(member)) {
      const intset::Position position = intset::find(entry->bytes(), *integer);
      if (position.found) return false;
      if (static_cast<int64_t>(size()) < keyspace.thresholds().set_max_intset_entries &&
          entry->bytes().size() < packed::kMaxBlockBytes) {
        insert_integer(position.index, *integer);
        return true;
      }
      convert_to_table();
    } else if (fits_packed(size() + 1, member.size())) {
      convert_to_packed();
    } else {
      convert_to_table();
    }
  }
  if (entry->encoding() == Encoding::Packed) return add_packed(member);
  ChargeGuard guard(keyspace, table());
  return table().add(member);
}

void SetValue::insert_integer(size_t index, int64_t value) {
  const int old_width = intset::width(entry->bytes());
  const int width = std::max(old_width, intset::width_for(value));
  const size_t members = size();
  keyspace.resize(entry, intset::kHeaderBytes + (members + 1) * static_cast<size_t>(width));
  char* block = entry->mutable_bytes();
  if (width == old_width) {
    char* at = block + intset::kHeaderBytes + index * static_cast<size_t>(width);
    std::memmove(at + width, at, (members - index) * static_cast<size_t>(width));
  } else {
    // A wider value lies outside the range of all others, and therefore at an end; from behind, nothing is overwritten
    // unread.
    for (size_t i = members; i-- > 0;) {
      const int64_t moved = intset::get(entry->bytes(), i);
      intset::put(block, width, i < index ? i : i + 1, moved);
    }
    intset::set_width(block, width);
  }
  intset::put(block, width, index, value);
}

bool SetValue::fits_packed(size_t members, size_t longest) const {
  const Thresholds& thresholds = keyspace.thresholds();
  return static_cast<int64_t>(members) <= thresholds.set_max_listpack_entries &&
         static_cast<int64_t>(longest) <= thresholds.set_max_listpack_value &&
         entry->bytes().size() + longest < packed::kMaxBlockBytes;
}

bool SetValue::add_packed(std::string_view member) {
  const std::string_view block = entry->bytes();
  const std::optional<int64_t> integer = parse_int(member);
  if (packed::find(block, packed::kHeaderBytes, member, integer, 1) != packed::kNotFound) return false;
  if (!fits_packed(size() + 1, member.size())) {
    convert_to_table();
    ChargeGuard guard(keyspace, table());
    return table().add(member);
  }
  char* out = packed::splice(*this, block.size(), 0, packed::element_size(member, integer));
  packed::write_element(out, member, integer);
  packed::add_to_count(*this, 1);
  return true;
}

bool SetValue::remove(std::string_view member) {
  if (entry->encoding() == Encoding::Table) {
    ChargeGuard guard(keyspace, table());
    return table().erase(member);
  }
  const std::optional<int64_t> integer = parse_int(member);
  const std::string_view block = entry->bytes();
  if (entry->encoding() == Encoding::Packed) {
    const size_t offset = packed::find(block, packed::kHeaderBytes, member, integer, 1);
    if (offset == packed::kNotFound) return false;
    packed::splice(*this, offset, packed::skip(block, offset) - offset, 0);
    packed::add_to_count(*this, -1);
    return true;
  }
  if (!integer) return false;
  const intset::Position position = intset::find(block, *integer);
  if (!position.found) return false;
  const auto width = static_cast<size_t>(intset::width(block));
  char* at = entry->mutable_bytes() + intset::kHeaderBytes + position.index * width;
  std::memmove(at, at + width, (size() - position.index - 1) * width);
  keyspace.resize(entry, block.size() - width);
  return true;
}

void SetValue::convert_to_packed() {
  const size_t members = size();
  size_t bytes = packed::kHeaderBytes;
  for_each([&](std::string_view member) {
    bytes += packed::element_size(member);
    return true;
  });
  std::string block(bytes, '\0');
  packed::set_count(block.data(), members);
  char* out = block.data() + packed::kHeaderBytes;
  for_each([&](std::string_view member) {
    out = packed::write_element(out, member);
    return true;
  });
  keyspace.reencode(entry, Encoding::Packed, bytes);
  std::memcpy(entry->mutable_bytes(), block.data(), bytes);
}

void SetValue::convert_to_table() {
  auto members = std::make_unique<SetTable>();
  for_each([&](std::string_view member) {
    members->add(member);
    return true;
  });
  keyspace.reencode(entry, Encoding::Table);
  keyspace.charge(static_cast<int64_t>(members->memory()));
  entry->set_pointer(members.release());
}

std::string_view SetValue::random(Random& generator, char* scratch) const {
  if (entry->encoding() == Encoding::Table) return table().random(generator)->text();
  const std::string_view block = entry->bytes();
  const uint64_t chosen = generator.below(size());
  if (entry->encoding() == Encoding::Intset) return {scratch, format_int(intset::get(block, chosen), scratch)};
  size_t offset = packed::kHeaderBytes;
  for (uint64_t i = 0; i < chosen; ++i) offset = packed::skip(block, offset);
  return packed::read_element(block, offset, offset).text(scratch);
}

}  // namespace quartet::storage
