#include "server/client_eviction.h"

#include <algorithm>
#include <bit>

#include "server/client_info.h"
#include "server/server.h"

namespace quartet::server {

namespace {

/// `maxmemory-clients` in bytes: a share of `maxmemory` where it is negative, no limit where either is 0.
size_t limit_in(const Config& config) {
  const int64_t setting = config.maxmemory_clients;
  const __int128 bytes = setting >= 0 ? setting : static_cast<__int128>(config.maxmemory) * -setting / 100;
  if (bytes == 0) return SIZE_MAX;
  return std::max(static_cast<size_t>(bytes), limits::kLeastClientsBytes);
}

}  // namespace

size_t ClientEviction::bucket_of(size_t bytes) {
  const auto shift = static_cast<size_t>(std::bit_width(bytes));
  return std::min(shift - std::min(shift, kSmallestShift), kBuckets - 1);
}

void ClientEviction::configure() {
  const bool was_on = on();
  limit_ = limit_in(server_.config);
  for (const auto& [id, session] : server_.sessions()) {
    if (on()) {
      count(*session);
    } else if (was_on) {
      forget(*session);
    }
    server_.bound_output(*session);
  }
  if (on()) evict();
}

void ClientEviction::leave_bucket(Session& session) {
  Session::Counted& counted = session.counted;
  if (counted.bucket == Session::Counted::kNone) return;
  std::vector<Session*>& bucket = buckets_[counted.bucket];
  bucket[counted.position] = bucket.back();
  bucket[counted.position]->counted.position = counted.position;
  bucket.pop_back();
  counted.bucket = Session::Counted::kNone;
}

void ClientEviction::count(Session& session) {
  Session::Counted& counted = session.counted;
  if (counted.gone) return;
  const size_t bytes = client_memory(session);
  sum_ = sum_ - counted.bytes + bytes;
  counted.bytes = bytes;
  const size_t bucket = session.no_evict ? Session::Counted::kNone : bucket_of(bytes);
  if (bucket == counted.bucket) return;
  leave_bucket(session);
  if (bucket == Session::Counted::kNone) return;
  counted.bucket = bucket;
  counted.position = buckets_[bucket].size();
  buckets_[bucket].push_back(&session);
}

void ClientEviction::forget(Session& session) {
  leave_bucket(session);
  sum_ -= session.counted.bytes;
  session.counted.bytes = 0;
}

void ClientEviction::evict() {
  for (size_t i = kBuckets; sum_ > limit_ && i-- > 0;)
    while (sum_ > limit_ && !buckets_[i].empty()) evict(*buckets_[i].front());
  if (sum_ > limit_)
    in_vain_.write(server_.log, LogLevel::Warning, server_.clock.now(), "Over client maxmemory after evicting all evictable clients");
}

void ClientEviction::evict(Session& session) {
  if (session.counted.gone) return;
  server_.log_about_clients(LogLevel::Notice, "Evicting client: " + client_info(session, server_.clock.now()));
  ++server_.stats.evicted_clients;
  server_.disconnect(session, false);
}

}  // namespace quartet::server
