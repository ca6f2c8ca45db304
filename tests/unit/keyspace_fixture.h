#pragma once

#include <malloc.h>

#include <memory>
#include <string>
#include <vector>

#include "storage/keyspace.h"

namespace quartet::test {

/// Frees what a keyspace leaves to others at once, and remembers which keys expired.
class Observer final : public storage::KeyspaceObserver {
 public:
  void expired(storage::Keyspace&, std::string_view key) override { expired_keys.emplace_back(key); }
  void reclaim(std::unique_ptr<storage::Garbage>) override { ++reclaimed; }

  std::vector<std::string> expired_keys;
  size_t reclaimed = 0;
};

/// The memory that a keyspace should have charged: what all its entries take now, and its table.
inline size_t memory_by_counting(const storage::Keyspace& keyspace) {
  size_t bytes = keyspace.table_memory();
  keyspace.for_each([&](const storage::Entry& entry) {
    bytes += storage::memory_of(entry);
    return true;
  });
  return bytes;
}

}  // namespace quartet::test
