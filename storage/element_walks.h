#pragma once

#include <cstddef>
#include <cstdint>

#include "storage/sampling.h"

namespace quartet::storage {

// How hashes, sets and sorted sets are walked in part. A collection has `size()` and `for_each(visit)`, which calls
// `visit(parts of an element...)` until it returns false; `table` is where its elements are if it is large, else null.
// Items of a table have `apply(visit)`, which calls `visit` with their parts.

/// Calls `visit` for about `count` elements beginning at `cursor`, and returns the next cursor; 0 is the first cursor
/// and the answer at the end. A small collection is visited whole. See Dict::scan.
template <class Collection, class Table, class Visit>
uint64_t scan_elements(const Collection& collection, const Table* table, uint64_t cursor, size_t count, Visit& visit) {
  if (!table) {
    collection.for_each([&](const auto&... parts) {
      visit(parts...);
      return true;
    });
    return 0;
  }
  size_t seen = 0;
  // A sparse table is not searched without end for one call.
  for (size_t buckets = 0; buckets < 10 * count; ++buckets) {
    cursor = table->scan(cursor, [&](const typename Table::Item& item) {
      ++seen;
      item.apply(visit);
    });
    if (cursor == 0 || seen >= count) break;
  }
  return cursor;
}

/// Calls `visit` for `count` different elements chosen at random (for all, where there are not more).
template <class Collection, class Table, class Visit>
void sample_elements(const Collection& collection, const Table* table, size_t count, Random& generator, Visit& visit,
                     Pauses* pauses) {
  const size_t population = collection.size();
  // Few of many are drawn until they differ; of others the walk chooses.
  if (!table || count > population / 4) {
    Sampler sampler(population, count);
    collection.for_each([&](const auto&... parts) {
      if (sampler.take(generator)) visit(parts...);
      return !sampler.done();
    });
    return;
  }
  sample_items(*table, count, generator, pauses, [&](const typename Table::Item* item) { item->apply(visit); });
}

}  // namespace quartet::storage
