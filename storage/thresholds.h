#pragma once

#include <cstdint>

namespace quartet::storage {

/// Up to where collections stay in their compact encodings. Names and defaults are those of CONFIG; what is not in
/// Redis 7.0's CONFIG is marked.
struct Thresholds {
  /// Fields of a packed hash, and bytes of its longest field or value.
  int64_t hash_max_listpack_entries = 512;
  int64_t hash_max_listpack_value = 64;
  /// Members of a set of integers.
  int64_t set_max_intset_entries = 512;
  /// Members of a packed set of strings, and bytes of the longest (the names are of Redis 7.2; 7.0 has no such
  /// encoding, and OBJECT ENCODING calls it "hashtable").
  int64_t set_max_listpack_entries = 128;
  int64_t set_max_listpack_value = 64;
  /// Members of a packed sorted set, and bytes of its longest member.
  int64_t zset_max_listpack_entries = 128;
  int64_t zset_max_listpack_value = 64;
  /// Size of a list's node: positive, in elements; -1 to -5, 4, 8, 16, 32 or 64 kB.
  int64_t list_max_listpack_size = -2;
  /// Accepted and kept for CONFIG; nodes of lists are not compressed.
  int64_t list_compress_depth = 0;
};

inline constexpr Thresholds kDefaultThresholds{};

}  // namespace quartet::storage
