#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/command.h"
#include "server/latency_histogram.h"

namespace quartet::server {

/// What is counted for one database. It belongs to the database's number, that is its role, and stays when SWAPDB gives it
/// other contents. What every command counts is one line of the cache.
struct alignas(64) DatabaseStatistics {
  // Since the start or CONFIG RESETSTAT, but for `dirty`.
  uint64_t keyspace_hits = 0;
  uint64_t keyspace_misses = 0;
  /// Commands that were executed in it, by their flags kWrite and kReadOnly: see `commands_of`.
  std::array<uint64_t, 4> commands{};
  std::unique_ptr<LatencyHistogram> latencies;  // of its commands; made at the first one with `latency-tracking` on
  uint64_t dirty = 0;                           // changes since the last save
  uint64_t slow_commands = 0;                   // longer than its `slowlog-log-slower-than`
  uint64_t expired_keys = 0;
  uint64_t evicted_keys = 0;
  // Bytes read from and written to the clients that were in it at the time.
  uint64_t net_input_bytes = 0;
  uint64_t net_output_bytes = 0;

  // Now.
  size_t clients = 0;  // that work in it (see Session::placed)
  size_t blocked_clients = 0;

  uint64_t& commands_of(uint32_t flags) { return commands[flags & (kWrite | kReadOnly)]; }
  uint64_t reads() const { return commands[kReadOnly]; }
  uint64_t writes() const { return commands[kWrite]; }
  uint64_t other_commands() const { return commands[0] + commands[kWrite | kReadOnly]; }
  bool used() const { return reads() + writes() + other_commands() > 0; }
  /// See Statistics::reset.
  void reset();
};
static_assert((kWrite | kReadOnly) == 3, "the two flags are an index into DatabaseStatistics::commands");

/// Counters since the start or since CONFIG RESETSTAT, as INFO shows them.
struct Statistics {
  uint64_t connections_received = 0;
  uint64_t connections_rejected = 0;
  uint64_t commands_processed = 0;
  uint64_t net_input_bytes = 0;
  uint64_t net_output_bytes = 0;
  uint64_t expired_keys = 0;
  uint64_t evicted_keys = 0;
  int64_t eviction_exceeded_us = 0;  // how long a limit of memory was exceeded, not counting the present time
  uint64_t unexpected_errors = 0;
  uint64_t error_replies = 0;
  uint64_t reads_processed = 0;
  uint64_t writes_processed = 0;
  uint64_t query_buffer_limit_disconnections = 0;
  uint64_t output_buffer_limit_disconnections = 0;
  uint64_t evicted_clients = 0;  // see ClientEviction
  uint64_t handshake_timeouts = 0;  // clients that have not authenticated, or not ended their TLS handshake, in time
  uint64_t handshake_failures = 0;  // TLS handshakes that failed
  uint64_t expire_cycle_cpu_us = 0;
  uint64_t time_cap_reached = 0;
  uint64_t lazyfreed_objects = 0;
  size_t peak_memory = 0;
  size_t startup_memory = 0;  // in use before the first client came
  size_t startup_scripts_memory = 0;  // of it, the interpreter's
  /// Errors replied, by code ("ERR", "WRONGTYPE"); bounded, because scripts may invent codes.
  std::map<std::string, uint64_t> errors;

  std::vector<DatabaseStatistics> databases;  // one for each
  DatabaseStatistics& database(int index) { return databases[static_cast<size_t>(index)]; }
  /// What is counted for the databases only, over all of them.
  uint64_t sum(uint64_t DatabaseStatistics::*counter) const;

  /// Samples of a counter, for the *_per_sec fields.
  struct Rate {
    uint64_t last = 0;
    std::array<uint64_t, 16> samples{};
    size_t at = 0;
    void sample(uint64_t total, int64_t elapsed_ms);
    uint64_t per_second() const;
  };
  Rate commands_rate, input_rate, output_rate;
  int64_t last_sample_ms = 0;

  /// What the databases' histograms take of memory, in bytes.
  size_t memory() const;
  /// CONFIG RESETSTAT: what counts up begins anew; what tells a state (memory, changes since the last save) remains.
  void reset();
};

}  // namespace quartet::server
