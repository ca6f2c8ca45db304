#pragma once

#include "storage/keyspace.h"
#include "storage/packed.h"

namespace quartet::storage::packed {

/// The packed block inside an entry. REQUIRES (all below): the entry's encoding is Packed and its block has a header.

/// Makes a new entry with an empty block.
inline Entry* create_block(Keyspace& keyspace, std::string_view key, Type type) {
  Entry* entry = keyspace.create(key, type, Encoding::Packed, kHeaderBytes);
  set_count(entry->mutable_bytes(), 0);
  return entry;
}

/// Replaces `old_bytes` bytes at `offset` by `new_bytes` bytes that the caller writes at the address returned. The
/// count is left to the caller. The entry may move, and with it all addresses into the block.
char* splice(Handle& handle, size_t offset, size_t old_bytes, size_t new_bytes);

/// Brings the block's count up to date after `change` elements were added (negative: removed).
void add_to_count(Handle& handle, int change);

}  // namespace quartet::storage::packed
