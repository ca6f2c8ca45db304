#include "storage/packed_value.h"

namespace quartet::storage::packed {

char* splice(Handle& handle, size_t offset, size_t old_bytes, size_t new_bytes) {
  const size_t size = handle.entry->bytes().size();
  assert(offset + old_bytes <= size);
  const size_t tail = size - offset - old_bytes;
  // The bytes behind are moved while the block has its larger size.
  if (new_bytes > old_bytes) handle.keyspace.resize(handle.entry, size - old_bytes + new_bytes);
  char* at = handle.entry->mutable_bytes() + offset;
  if (tail > 0 && new_bytes != old_bytes) std::memmove(at + new_bytes, at + old_bytes, tail);
  if (new_bytes < old_bytes) handle.keyspace.resize(handle.entry, size - old_bytes + new_bytes);
  return handle.entry->mutable_bytes() + offset;
}

void add_to_count(Handle& handle, int change) {
  const std::string_view block = handle.entry->bytes();
  // Where the header says that the elements must be counted, the change is among them already.
  const size_t stored = stored_count(block);
  const size_t now = stored == kCountToWalk ? count(block) : stored + static_cast<size_t>(change);
  set_count(handle.entry->mutable_bytes(), now);
}

}  // namespace quartet::storage::packed
