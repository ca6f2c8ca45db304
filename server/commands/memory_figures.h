#pragma once

#include <cstddef>
#include <cstdint>

#include "server/process_info.h"
#include "server/server.h"

namespace quartet::server {

/// Where the memory goes, in bytes, as INFO and MEMORY STATS show it.
///
///   used = databases + own
///   databases = tables and entries, as each keyspace is charged for them
///   own = startup, and what has come since: clients, scripts, log, snapshot, working, garbage, buffers, statistics
///
/// used is told by the allocator and the others by what holds them; tests/unit/memory_account_test.cc holds the two
/// together.
struct MemoryFigures {
  size_t used, peak, startup;
  size_t clients;       // what is held for connections
  size_t scripts;       // the interpreter with its scripts
  size_t log;           // buffers of the append-only file
  size_t snapshot;      // what a snapshot holds that no database does
  size_t working;       // what commands in slices hold for their work, their replies included
  size_t garbage;       // what is about to be freed
  size_t buffers;       // room for input and output to come
  size_t statistics;    // histograms, of commands and databases, and the slow log
  size_t own;
  size_t tables;        // the databases' own tables
  size_t overhead;      // all that is not data: own and tables
  size_t dataset;       // used without the overhead
  size_t keys;
  AllocatorFigures allocator;
  size_t resident;

  /// Share of the dataset in what was allocated since the start, and of the present use in the peak.
  double dataset_percent() const {
    return used > startup ? 100.0 * static_cast<double>(dataset) / static_cast<double>(used - startup) : 0;
  }
  double peak_percent() const { return peak ? 100.0 * static_cast<double>(used) / static_cast<double>(peak) : 0; }
};
MemoryFigures memory_figures(Server& server);

/// a / b, 0 where there is no b.
inline double ratio(size_t a, size_t b) { return b ? static_cast<double>(a) / static_cast<double>(b) : 0; }
/// a - b, which may be negative.
inline int64_t difference(size_t a, size_t b) { return static_cast<int64_t>(a) - static_cast<int64_t>(b); }

}  // namespace quartet::server
