// What the server does by itself as time passes: expiry in slices, timeouts of clients, samples for INFO.

#include <algorithm>

#include "base/slab.h"
#include "server/process_info.h"
#include "server/server.h"
#include "storage/access.h"

namespace quartet::server {

namespace {

/// The walk for expired entries works in slices of this length, so that no client waits longer for it.
constexpr int64_t kExpireSliceUs = 250;
/// Buckets looked through between two looks at the clock.
constexpr size_t kExpireBuckets = 64;
/// How soon the next slice follows where many entries were found dead, or other threads have freed much, in ms: a quarter
/// of the time at most goes into it.
constexpr int64_t kBusyTickMs = 1;
constexpr int64_t kSampleMs = 100;
/// Sessions looked at in each round of samples: every one of up to ten thousand is seen once a second.
constexpr size_t kWatchedSessions = 1000;
/// Of those so many at most are closed, because each costs some system calls.
constexpr size_t kClosedSessions = 100;

}  // namespace

int64_t Server::tick() {
  const Time now = clock.now();
  if (durability.loading()) {
    date_new_entries(now);
    // Clients are read between two slices and told LOADING.
    return durability.load_slice() ? 0 : kBusyTickMs;
  }
  const bool more_to_save = durability.tick();
  date_new_entries(now);
  if (!changes_paused()) flush_when_due(now);
  const uint64_t expired_before = stats.expired_keys;
  if (active_expire && !changes_paused()) expire_cycle(now);
  const bool more_to_expire = stats.expired_keys - expired_before > 256;
  const bool more_to_collect = blocks::collect();
  if (!more_to_collect) slab_garbage_ = blocks::collected_bytes();
  const bool more_to_evict = memory_limit.work(now);
  clean_marks();
  queues.step(databases, now);

  const int64_t tick_ms = 1000 / std::clamp<int64_t>(config.hz, 1, 500);
  const int64_t elapsed = now.mono_ms() - stats.last_sample_ms;
  if (elapsed >= kSampleMs) {
    stats.commands_rate.sample(stats.commands_processed, elapsed);
    stats.input_rate.sample(stats.net_input_bytes, elapsed);
    stats.output_rate.sample(stats.net_output_bytes, elapsed);
    stats.last_sample_ms = now.mono_ms();
    stats.peak_memory = std::max(stats.peak_memory, used_memory());
    // They are read before the next samples, so that no two in a row are late for this reason alone.
    stalled_ = !stalled_ && elapsed > tick_ms + 3 * kSampleMs;
    if (!stalled_) watch_sessions(now);
  }
  if (depth_ == 0) {
    if (blocking.ready()) blocking.serve();
    input.run_resumed();
  }
  return more_to_save || more_to_expire || more_to_collect || more_to_evict ? kBusyTickMs : tick_ms;
}

void Server::date_new_entries(const Time& now) {
  for (const auto& db : databases)
    db->set_new_access(db->counts_accesses() ? storage::LfuAccess::fresh(now) : storage::LruAccess::clock(now));
}

void Server::expire_cycle(const Time& now) {
  const int64_t end_us = now.mono_us + kExpireSliceUs;
  Time at = now;
  for (size_t turn = 0; turn < databases.size(); ++turn) {
    storage::Keyspace& db = *databases[(expire_database_ + turn) % databases.size()];
    if (db.expiring() == 0 || db.locked()) continue;
    size_t looked_at = 0;
    do {
      db.expire_slice(now.wall_ms(), kExpireBuckets, looked_at);
      at = clock.now();
    } while (at.mono_us < end_us && !db.expire_walk_at_start());
    if (at.mono_us >= end_us) {
      // The next slice goes on with the database after this one, so that a large one keeps no other waiting.
      expire_database_ = (expire_database_ + turn + (db.expire_walk_at_start() ? 1 : 0)) % databases.size();
      ++stats.time_cap_reached;
      break;
    }
  }
  stats.expire_cycle_cpu_us += static_cast<uint64_t>(at.mono_us - now.mono_us);
}

void Server::clean_marks() {
  // What snapshots that were given up have left does not hurt, and is removed without haste.
  constexpr size_t kBuckets = 256;
  for (const auto& db : databases)
    if (db->has_stale_marks()) return db->clean_marks(kBuckets);
}

void Server::watch_sessions(const Time& now) {
  size_t closed = 0;
  auto next = sessions_.upper_bound(watched_session_);
  for (size_t left = std::min(sessions_.size(), kWatchedSessions); left > 0 && closed < kClosedSessions; --left) {
    if (next == sessions_.end()) next = sessions_.begin();
    watched_session_ = next->first;
    Session& session = *(next++)->second;
    if (watch_session(session, now)) ++closed;
  }
}

/// One that is closing already is looked at too: it may wait for a client that does not read what is left for it.
bool Server::watch_session(Session& session, const Time& now) {
  if (session.soft_limit_since_ms || client_eviction.on()) output_added(session);
  const auto longer = [&](int64_t since_us, int64_t seconds) { return seconds > 0 && now.mono_us - since_us > seconds * 1'000'000; };
  const bool late = must_log_in(session) && !session.waits_its_turn() && longer(session.unauthenticated_since_us, config.handshake_timeout);
  const int64_t timeout =
      session.memcached ? config.database[static_cast<size_t>(session.database)].memcached_timeout : config.timeout;
  const bool waits = session.wait != Wait::None || !session.held.empty();
  const bool idle = longer(session.last_active.mono_us, timeout) && !waits && !session.subscribed() && !session.monitor;
  if (!late && !idle) return false;
  if (late) ++stats.handshake_timeouts;
  if (session.memcached) ++session.memcached->service.stats.idle_kicks;
  about_clients_.write(log, LogLevel::Verbose, now, "Closing {} client id={} addr={}", late ? "unauthenticated" : "idle", session.id,
                       session.address);
  disconnect(session, false);
  return true;
}

size_t Server::blocked_clients() const {
  return blocking.size() + input.waiting(Wait::Pause) + input.waiting(Wait::Snapshot) + input.waiting(Wait::Database);
}

int64_t Server::next_timeout_ms() const {
  int64_t next_us = blocking.next_deadline_us();
  if (paused_until_ms_ && (next_us == 0 || paused_until_ms_ * 1000 < next_us)) next_us = paused_until_ms_ * 1000;
  if (const int64_t login_us = login_throttle_.next_deadline_us(); login_us && (next_us == 0 || login_us < next_us)) next_us = login_us;
  if (next_us == 0) return -1;
  const int64_t left_us = next_us - clock.now().mono_us;
  return left_us <= 0 ? 0 : (left_us + 999) / 1000;
}

void Server::run_timeouts() {
  const Time now = clock.now();
  blocking.expire(now);
  if (paused_until_ms_ && now.mono_ms() >= paused_until_ms_) unpause();
  for (const uint64_t id : login_throttle_.take_due(now)) {
    Session* session = find_session(id);
    if (!session || session->wait != Wait::Login) continue;
    session->login_due = true;
    input.end_wait(*session);
  }
  if (depth_ == 0) input.run_resumed();
}

void Server::pause(int64_t until_mono_ms, bool writes_only) {
  // A pause in force is made stricter and longer, never weaker.
  pause_writes_only_ = paused_until_ms_ ? pause_writes_only_ && writes_only : writes_only;
  paused_until_ms_ = std::max(paused_until_ms_, until_mono_ms);
  pause_begins_ = depth_ > 0;
}

void Server::unpause() {
  paused_until_ms_ = 0;
  if (depth_ == 0 && blocking.ready()) blocking.serve();
  input.end_waits(Wait::Pause);
}

}  // namespace quartet::server
