#include "storage/hash.h"

#include "storage/charge_guard.h"

namespace quartet::storage {

namespace {

size_t find_field(std::string_view block, std::string_view field) {
  return packed::find(block, packed::kHeaderBytes, field, parse_int(field), 2);
}

bool longer_than(std::string_view text, int64_t limit) { return static_cast<int64_t>(text.size()) > limit; }

}  // namespace

HashValue HashValue::create(Keyspace& keyspace, std::string_view key) {
  return {keyspace, packed::create_block(keyspace, key, Type::Hash)};
}

bool HashValue::contains(std::string_view field) const {
  if (!is_packed()) return table().find(field) != nullptr;
  return find_field(entry->bytes(), field) != packed::kNotFound;
}

std::optional<std::string_view> HashValue::get(std::string_view field, char* scratch) const {
  if (!is_packed()) {
    const FieldItem* item = table().find(field);
    if (!item) return {};
    return item->value();
  }
  const std::string_view block = entry->bytes();
  const size_t offset = find_field(block, field);
  if (offset == packed::kNotFound) return {};
  size_t next;
  return packed::read_element(block, packed::skip(block, offset), next).text(scratch);
}

SharedBytes HashValue::shared(std::string_view field) const {
  if (is_packed()) return {};
  const FieldItem* item = table().find(field);
  return item ? item->shared() : SharedBytes();
}

bool HashValue::set(std::string_view field, std::string_view value) {
  const int64_t longest = keyspace.thresholds().hash_max_listpack_value;
  if (is_packed() && (longer_than(field, longest) || longer_than(value, longest))) convert_to_table();
  if (!is_packed()) {
    ChargeGuard guard(keyspace, table());
    return table().set(field, value);
  }

  const std::string_view block = entry->bytes();
  const std::optional<int64_t> field_integer = parse_int(field), value_integer = parse_int(value);
  const size_t value_bytes = packed::element_size(value, value_integer);
  const size_t offset = packed::find(block, packed::kHeaderBytes, field, field_integer, 2);
  if (offset != packed::kNotFound) {
    const size_t at = packed::skip(block, offset);
    char* out = packed::splice(*this, at, packed::skip(block, at) - at, value_bytes);
    packed::write_element(out, value, value_integer);
    return false;
  }
  const size_t field_bytes = packed::element_size(field, field_integer);
  if (static_cast<int64_t>(size()) >= keyspace.thresholds().hash_max_listpack_entries ||
      block.size() + field_bytes + value_bytes > packed::kMaxBlockBytes) {
    convert_to_table();
    return set(field, value);
  }
  char* out = packed::splice(*this, block.size(), 0, field_bytes + value_bytes);
  packed::write_element(packed::write_element(out, field, field_integer), value, value_integer);
  packed::add_to_count(*this, 2);
  return true;
}

bool HashValue::erase(std::string_view field) {
  if (!is_packed()) {
    ChargeGuard guard(keyspace, table());
    return table().erase(field);
  }
  const std::string_view block = entry->bytes();
  const size_t offset = find_field(block, field);
  if (offset == packed::kNotFound) return false;
  const size_t behind = packed::skip(block, packed::skip(block, offset));
  packed::splice(*this, offset, behind - offset, 0);
  packed::add_to_count(*this, -2);
  return true;
}

void HashValue::convert_to_table() {
  auto fields = std::make_unique<HashTable>();
  for_each([&](std::string_view field, std::string_view value) {
    fields->set(field, value);
    return true;
  });
  keyspace.reencode(entry, Encoding::Table);
  keyspace.charge(static_cast<int64_t>(fields->memory()));
  entry->set_pointer(fields.release());
}

}  // namespace quartet::storage
