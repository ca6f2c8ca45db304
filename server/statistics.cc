#include "server/statistics.h"

#include <malloc.h>

#include <numeric>
#include <utility>

namespace quartet::server {

void DatabaseStatistics::reset() {
  DatabaseStatistics fresh;
  fresh.dirty = dirty;
  fresh.clients = clients;
  fresh.blocked_clients = blocked_clients;
  *this = std::move(fresh);
}

void Statistics::Rate::sample(uint64_t total, int64_t elapsed_ms) {
  if (elapsed_ms <= 0) return;
  // CONFIG RESETSTAT may have set the counter back.
  const uint64_t grown = total >= last ? total - last : total;
  samples[at] = grown * 1000 / static_cast<uint64_t>(elapsed_ms);
  at = (at + 1) % samples.size();
  last = total;
}

void Statistics::reset() {
  Statistics fresh;
  fresh.peak_memory = peak_memory;
  fresh.startup_memory = startup_memory;
  fresh.startup_scripts_memory = startup_scripts_memory;
  fresh.last_sample_ms = last_sample_ms;
  fresh.databases = std::move(databases);
  for (DatabaseStatistics& database : fresh.databases) database.reset();
  *this = std::move(fresh);
}

uint64_t Statistics::sum(uint64_t DatabaseStatistics::*counter) const {
  uint64_t total = 0;
  for (const DatabaseStatistics& database : databases) total += database.*counter;
  return total;
}

size_t Statistics::memory() const {
  size_t bytes = 0;
  for (const DatabaseStatistics& database : databases)
    if (const auto& histogram = database.latencies) bytes += malloc_usable_size(histogram.get());
  return bytes;
}

uint64_t Statistics::Rate::per_second() const {
  return std::accumulate(samples.begin(), samples.end(), uint64_t{0}) / samples.size();
}

}  // namespace quartet::server
