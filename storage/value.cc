#include <malloc.h>

#include <cstdlib>

#include "base/numbers.h"
#include "base/slab.h"
#include "storage/hash.h"
#include "storage/keyspace.h"
#include "storage/list.h"
#include "storage/set.h"
#include "storage/sorted_set.h"

namespace quartet::storage {

namespace {

/// Collections larger than this are freed on another thread.
constexpr size_t kSlowToFree = 64;
/// Strings longer than this are, too: to free them takes longer than to hand them over, and some 0.2 ms for a megabyte.
constexpr size_t kSlowToFreeBytes = 128 * 1024;

/// Calls `visit` with the structure of an entry whose encoding is Table.
template <class Visit>
auto with_table(const Entry& entry, Visit visit) {
  switch (entry.type()) {
    case Type::List: return visit(entry.table<ListTable>());
    case Type::Set: return visit(entry.table<SetTable>());
    case Type::Hash: return visit(entry.table<HashTable>());
    case Type::SortedSet: return visit(entry.table<SortedSetTable>());
    case Type::String: break;
  }
  std::abort();
}

}  // namespace

size_t memory_of(const Entry& entry) {
  const size_t bytes = blocks::size(&entry, entry.size());
  // An entry under construction has no structure yet.
  if (Entry::has_bytes(entry.encoding()) || entry.encoding() == Encoding::Int || !entry.pointer()) return bytes;
  if (entry.encoding() == Encoding::Shared) return bytes + malloc_usable_size(entry.pointer());
  return bytes + with_table(entry, [](const auto& table) { return table.memory(); });
}

size_t length_of(const Entry& entry) {
  if (entry.encoding() == Encoding::Table) return with_table(entry, [](const auto& table) { return table.size(); });
  switch (entry.type()) {
    case Type::String: return 1;
    case Type::List: return ListValue::packed_size(entry);
    case Type::Set: return SetValue::packed_size(entry);
    case Type::Hash: return HashValue::packed_size(entry);
    case Type::SortedSet: return SortedSetValue::packed_size(entry);
  }
  std::abort();
}

void prefetch_element(const Entry& entry, uint64_t hash) {
  with_table(entry, [&](const auto& table) { table.prefetch(hash); });
}

void prefetch_element_item(const Entry& entry, uint64_t hash) {
  with_table(entry, [&](const auto& table) { table.prefetch_item(hash); });
}

bool is_slow_to_free(const Entry& entry) {
  if (entry.encoding() == Encoding::Shared)
    return entry.pointer() && malloc_usable_size(entry.pointer()) > kSlowToFreeBytes;
  return entry.encoding() == Encoding::Table && entry.pointer() &&
         with_table(entry, [](const auto& table) { return table.allocations(); }) > kSlowToFree;
}

void dispose_value(Entry* entry) {
  if (Entry::has_bytes(entry->encoding()) || entry->encoding() == Encoding::Int || !entry->pointer()) return;
  if (entry->encoding() == Encoding::Shared) {
    SharedBytes::adopt(entry->pointer());
  } else {
    with_table(*entry, [](auto& table) { delete &table; });
  }
}

void dispose(Entry* entry) {
  dispose_value(entry);
  blocks::free(entry, entry->size());
}

size_t work_of(const Entry& entry) {
  return work_of_elements(length_of(entry), memory_of(entry));
}

size_t work_of(const Entry& entry, size_t count) {
  const size_t length = length_of(entry);
  return count >= length ? work_of(entry) : work_of_elements(count, memory_of(entry) / length * count);
}

void* clone_value(const Entry& entry, Pauses* pauses) {
  if (entry.encoding() == Encoding::Int) return entry.pointer();
  if (entry.encoding() == Encoding::Shared) {
    SharedBytes original = SharedBytes::adopt(entry.pointer());
    // Blocks are charged in full to the keyspace that holds them, so two keys never share one.
    SharedBytes copy = SharedBytes::allocate(original.size(), original.size());
    copy_bytes(copy.data(), original.data(), original.size(), pauses);
    original.release();
    return copy.release();
  }
  return with_table(entry, [pauses](const auto& table) -> void* { return table.clone(pauses).release(); });
}

std::string_view encoding_name(const Entry& entry) {
  constexpr size_t kEmbstrBytes = 44;  // the longest string that Redis 7.0 embeds in its object
  switch (entry.type()) {
    case Type::String:
      if (entry.encoding() == Encoding::Int) return "int";
      return entry.encoding() == Encoding::Bytes && !entry.modified() && entry.bytes().size() <= kEmbstrBytes ? "embstr"
                                                                                                            : "raw";
    case Type::List: return "quicklist";
    case Type::Set: return entry.encoding() == Encoding::Intset ? "intset" : "hashtable";
    case Type::Hash: return entry.encoding() == Encoding::Packed ? "listpack" : "hashtable";
    case Type::SortedSet: return entry.encoding() == Encoding::Packed ? "listpack" : "skiplist";
  }
  std::abort();
}

}  // namespace quartet::storage
