#pragma once

#include <cstdint>
#include <string_view>

#include "server/commands/memory_figures.h"
#include "server/server.h"

namespace quartet::server {

/// What there is to tell of one database, as DB STATS and INFO's sections `Database_<n>` do.
struct DatabaseFigures {
  const storage::Keyspace& keyspace;
  const DatabaseStatistics& statistics;
  const DatabaseConfig& settings;

  DatabaseFigures(Server& server, int index)
      : keyspace(server.database(index)),
        statistics(server.stats.database(index)),
        settings(server.config.database[static_cast<size_t>(index)]) {}

  /// Whether it is shown where no database is named: it has a name, keys, or had commands since CONFIG RESETSTAT.
  bool worth_showing() const { return !settings.name.empty() || keyspace.size() > 0 || statistics.used(); }

  /// Calls `integer(name, int64_t)` and `number(name, double)` for each figure. Memory is in bytes; times are in
  /// microseconds.
  template <class Integer, class Number>
  void each(Integer integer, Number number) const {
    const auto count = [&](std::string_view name, size_t value) { integer(name, static_cast<int64_t>(value)); };
    count("keys", keyspace.size());
    count("expires", keyspace.expiring());
    integer("avg_ttl", keyspace.average_ttl());
    count("used_memory", keyspace.memory());
    integer("maxmemory", settings.budget);
    count("clients", statistics.clients);
    count("blocked_clients", statistics.blocked_clients);
    count("read_commands", statistics.reads());
    count("write_commands", statistics.writes());
    count("other_commands", statistics.other_commands());
    count("keyspace_hits", statistics.keyspace_hits);
    count("keyspace_misses", statistics.keyspace_misses);
    number("keyspace_hit_rate", ratio(statistics.keyspace_hits, statistics.keyspace_hits + statistics.keyspace_misses));
    count("expired_keys", statistics.expired_keys);
    count("evicted_keys", statistics.evicted_keys);
    count("net_input_bytes", statistics.net_input_bytes);
    count("net_output_bytes", statistics.net_output_bytes);
    count("slow_commands", statistics.slow_commands);
    integer("latency_p50_usec", percentile_us(50));
    integer("latency_p99_usec", percentile_us(99));
    integer("latency_p999_usec", percentile_us(99.9));
    count("changes_since_last_save", statistics.dirty);
    count("lists", keyspace.count(storage::Type::List));
  }

 private:
  /// Commands are measured in whole microseconds.
  int64_t percentile_us(double percent) const {
    return statistics.latencies ? static_cast<int64_t>(statistics.latencies->percentile(percent) / 1000) : 0;
  }
};

}  // namespace quartet::server
