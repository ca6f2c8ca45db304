#pragma once

#include <cstdint>

namespace quartet::storage {

/// Up to where small collections stay packed; the names are those of the settings.
struct Thresholds {
  int64_t hash_max_listpack_entries = 512;
  int64_t hash_max_listpack_value = 64;     // bytes
  int64_t list_max_listpack_size = -2;      // items, or -1 .. -5: 4, 8, 16, 32, 64 KB
  int64_t list_compress_depth = 0;          // kept for clients; nodes are never compressed
  int64_t set_max_intset_entries = 512;
  int64_t zset_max_listpack_entries = 128;
  int64_t zset_max_listpack_value = 64;     // bytes
};

}  // namespace quartet::storage
