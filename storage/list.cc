#include "storage/list.h"

#include <algorithm>
#include <string>

#include "storage/charge_guard.h"

namespace quartet::storage {

ListValue ListValue::create(Keyspace& keyspace, std::string_view key) {
  return {keyspace, packed::create_block(keyspace, key, Type::List)};
}

size_t ListValue::packed_offset(size_t index) const {
  const std::string_view block = entry->bytes();
  const size_t elements = packed_size(*entry);
  size_t offset;
  if (index <= elements / 2) {
    offset = packed::kHeaderBytes;
    for (; index > 0; --index) offset = packed::skip(block, offset);
  } else {
    offset = block.size();
    for (; index < elements; ++index) offset = packed::previous(block, offset);
  }
  return offset;
}

bool ListValue::make_room(size_t more_elements, size_t more_bytes) {
  const NodeLimit node = limit();
  const std::string_view block = entry->bytes();
  const size_t elements = packed_size(*entry);
  if (elements + more_elements <= node.elements && block.size() + more_bytes <= node.bytes) return true;
  auto list = std::make_unique<ListTable>();
  if (elements > 0) list->append_run(block.substr(packed::kHeaderBytes), elements, node);
  keyspace.reencode(entry, Encoding::Table);
  keyspace.charge(static_cast<int64_t>(list->memory()));
  entry->set_pointer(list.release());
  return false;
}

void ListValue::convert_if_small() {
  const NodeLimit node = limit();
  ListTable& list = table();
  // A list that lives at the border of the two encodings is not to be converted at every push and pop.
  if (list.element_bytes() + packed::kHeaderBytes > node.bytes / 2) return;
  if (list.size() > std::max<size_t>(node.elements / 2, 1)) return;
  const std::unique_ptr<ListTable> old(&list);
  keyspace.charge(-static_cast<int64_t>(old->memory()));
  keyspace.reencode(entry, Encoding::Packed, packed::kHeaderBytes + old->element_bytes());
  packed::set_count(entry->mutable_bytes(), old->size());
  char* out = entry->mutable_bytes() + packed::kHeaderBytes;
  for (size_t i = 0; i < old->nodes(); ++i) {
    const std::string_view run = old->elements(i);
    std::memcpy(out, run.data(), run.size());
    out += run.size();
  }
}

void ListValue::push(End end, std::string_view value) {
  if (is_packed()) {
    const std::optional<int64_t> integer = parse_int(value);
    const size_t bytes = packed::element_size(value, integer);
    if (make_room(1, bytes)) {
      const size_t offset = end == End::Head ? packed::kHeaderBytes : entry->bytes().size();
      packed::write_element(packed::splice(*this, offset, 0, bytes), value, integer);
      packed::add_to_count(*this, 1);
      return;
    }
  }
  ChargeGuard guard(keyspace, table());
  table().push(end, value, limit());
}

std::string_view ListValue::peek(End end, char* scratch) const {
  return at(end == End::Head ? 0 : size() - 1, scratch);
}

std::string_view ListValue::at(size_t index, char* scratch) const {
  size_t next;
  if (is_packed()) return packed::read_element(entry->bytes(), packed_offset(index), next).text(scratch);
  const ListTable::Place place = table().locate(index);
  return packed::read_element(table().elements(place.node), place.offset, next).text(scratch);
}

size_t ListValue::work_of(End end, size_t count, size_t enough) const {
  if (is_packed()) return work_of_elements(count, entry->bytes().size());
  return table().work_of(end, count, enough);
}

void ListValue::drop(End end, size_t count, Pauses* pauses) {
  if (count == 0) return;
  if (is_packed()) {
    const size_t elements = packed_size(*entry);
    const size_t first = end == End::Head ? packed::kHeaderBytes : packed_offset(elements - count);
    const size_t behind = end == End::Head ? packed_offset(count) : entry->bytes().size();
    packed::splice(*this, first, behind - first, 0);
    packed::add_to_count(*this, -static_cast<int>(count));
    return;
  }
  // In pieces, between which table and account are whole.
  for (size_t left = count, piece = count; left > 0; left -= piece) {
    if (pauses) {
      constexpr size_t kAtOnce = 64, kMostWork = 512;
      piece = std::min(left, kAtOnce);
      size_t work = table().work_of(end, piece, kMostWork);
      if (work >= kMostWork) work = table().work_of(end, piece = 1, kMostWork);
      pauses->after(work);
    }
    ChargeGuard guard(keyspace, table());
    table().drop(end, piece);
  }
  convert_if_small();
}

void ListValue::move(End from, ListValue& other, End to) {
  char scratch[kNumberChars];
  const std::string_view value = peek(from, scratch);
  if (entry != other.entry) {
    other.push(to, value);
    drop(from);
    return;
  }
  const std::string copy(value);
  drop(from);
  push(to, copy);
  other.entry = entry;
}

void ListValue::set(size_t index, std::string_view value) {
  if (is_packed()) {
    const std::optional<int64_t> integer = parse_int(value);
    const size_t bytes = packed::element_size(value, integer);
    const size_t offset = packed_offset(index);
    const size_t old_bytes = packed::skip(entry->bytes(), offset) - offset;
    if (bytes <= old_bytes || make_room(0, bytes - old_bytes)) {
      packed::write_element(packed::splice(*this, offset, old_bytes, bytes), value, integer);
      return;
    }
  }
  {
    ChargeGuard guard(keyspace, table());
    table().replace(table().locate(index), value, limit());
  }
  convert_if_small();
}

bool ListValue::insert(std::string_view pivot, bool before, std::string_view value, Pauses* pauses) {
  const std::optional<int64_t> wanted = parse_int(pivot);
  if (is_packed()) {
    size_t offset = packed::find(entry->bytes(), packed::kHeaderBytes, pivot, wanted, 1);
    if (offset == packed::kNotFound) return false;
    const std::optional<int64_t> integer = parse_int(value);
    const size_t bytes = packed::element_size(value, integer);
    if (make_room(1, bytes)) {
      if (!before) offset = packed::skip(entry->bytes(), offset);
      packed::write_element(packed::splice(*this, offset, 0, bytes), value, integer);
      packed::add_to_count(*this, 1);
      return true;
    }
  }
  ListTable& list = table();
  for (size_t node = 0; node < list.nodes(); ++node) {
    breathe(pauses, list.work_of(node));
    const size_t offset = packed::find(list.elements(node), 0, pivot, wanted, 1);
    if (offset == packed::kNotFound) continue;
    ChargeGuard guard(keyspace, list);
    list.insert({node, offset}, before, value, limit());
    return true;
  }
  return false;
}

size_t ListValue::remove(std::string_view value, End from, size_t most, Pauses* pauses) {
  packed::Removal removal{value, parse_int(value), 0, most == 0 ? SIZE_MAX : most};
  if (from == End::Tail && most > 0) {
    // Removal goes from the head in one pass; so the matches too many are counted first and left standing.
    size_t matches = 0;
    find(value, End::Head, 0, [&](size_t) { return ++matches, true; }, pauses);
    removal.skip = matches > most ? matches - most : 0;
  }
  size_t removed = 0;
  if (is_packed()) {
    const size_t bytes = entry->bytes().size() - packed::kHeaderBytes;
    char* elements = entry->mutable_bytes() + packed::kHeaderBytes;
    const size_t kept = packed::remove_equal(elements, bytes, removal, removed);
    if (removed == 0) return 0;
    keyspace.resize(entry, packed::kHeaderBytes + kept);
    packed::add_to_count(*this, -static_cast<int>(removed));
    return removed;
  }
  {
    ChargeGuard guard(keyspace, table());
    removed = table().remove(removal, limit(), pauses);
  }
  if (removed > 0) convert_if_small();
  return removed;
}

void ListValue::trim(size_t start, size_t count, Pauses* pauses) {
  const size_t behind = size() - start - count;
  // One side at a time; what remains after the first may be packed again.
  drop(End::Head, start, pauses);
  drop(End::Tail, behind, pauses);
}

}  // namespace quartet::storage
