#include "server/memory_limit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "server/server.h"
#include "storage/eviction_pool.h"

namespace quartet::server {

namespace {

constexpr std::string_view kOom = "OOM command not allowed when used memory > 'maxmemory'.";

/// For how long one command may evict, by `maxmemory-eviction-tenacity`: 50 us a step up to the default of 10, from there on twice as
/// long every ten steps, and for as long as it takes at 100.
int64_t slice_of(int64_t tenacity) {
  constexpr int64_t kDefault = 10, kStepUs = 50;
  if (tenacity >= 100) return INT64_MAX;
  if (tenacity <= kDefault) return kStepUs * tenacity;
  return std::llround(kStepUs * kDefault * std::exp2(static_cast<double>(tenacity - kDefault) / 10));
}

int64_t end_of(int64_t begin_us, int64_t slice_us) { return slice_us == INT64_MAX ? INT64_MAX : begin_us + slice_us; }

/// The database that a command makes larger, or may make so; -1 where it makes none, or names one that does not exist.
int grown_database(const Server& server, int database, const CommandEntry& command, Args args) {
  // Whoever takes keys to another database writes there. SWAPDB has no keys, and is asked by its handler for both.
  if (command.spec->databases && (command.flags & kWrite) && !command.spec->keys.empty()) {
    std::vector<int> named;
    command.spec->databases(args, server.config, named);
    if (!named.empty()) return named.back();
  }
  return command.flags & kDenyOom ? database : -1;
}

}  // namespace

MemoryLimit::MemoryLimit(Server& server) : server_(server) {}
MemoryLimit::~MemoryLimit() = default;

void MemoryLimit::configure() {
  const Config& config = server_.config;
  maxmemory_ = config.maxmemory > 0 ? static_cast<size_t>(config.maxmemory) : SIZE_MAX;
  slice_us_ = slice_of(config.maxmemory_eviction_tenacity);
  any_ = config.maxmemory > 0;
  databases_.resize(config.database.size());
  for (size_t i = 0; i < databases_.size(); ++i) {
    const DatabaseSettings& settings = config.database[i];
    Database& database = databases_[i];
    database.budget = settings.budget > 0 ? static_cast<size_t>(settings.budget) : SIZE_MAX;
    any_ = any_ || settings.budget > 0;
    const auto policy = std::find(std::begin(storage::kEvictionPolicies), std::end(storage::kEvictionPolicies), settings.maxmemory_policy);
    database.rule.policy = static_cast<storage::EvictionPolicy>(policy - std::begin(storage::kEvictionPolicies));
    database.rule.samples = static_cast<size_t>(settings.maxmemory_samples);
    database.rule.lfu_decay_time = settings.lfu_decay_time;
    server_.databases[i]->count_accesses(database.rule.counts_accesses());
  }
}

bool MemoryLimit::judges_accesses(const storage::Keyspace& db) const {
  using enum storage::EvictionPolicy;
  const storage::EvictionPolicy policy = of(db).rule.policy;
  const bool by_access = policy == AllKeysLru || policy == AllKeysLfu || policy == VolatileLru || policy == VolatileLfu;
  return by_access && (maxmemory_ != SIZE_MAX || of(db).budget != SIZE_MAX);
}

// --- Whether ----------------------------------------------------------------------------------------------------------

size_t MemoryLimit::not_counted() const {
  size_t bytes = server_.garbage_bytes() + server_.durability.current_save().memory() + server_.long_commands.memory();
  if (const persistence::AofLog* log = server_.durability.log()) bytes += log->memory();
  return bytes;
}

bool MemoryLimit::over_maxmemory() const {
  if (maxmemory_ == SIZE_MAX) return false;
  const size_t used = server_.used_memory();
  return used > maxmemory_ && used - std::min(used, not_counted()) > maxmemory_;
}

bool MemoryLimit::may_evict(const storage::Keyspace& db) const {
  return server_.may_change_data() && !db.locked() && of(db).rule.permits(db);
}

bool MemoryLimit::anything_evictable() const {
  return std::any_of(server_.databases.begin(), server_.databases.end(), [&](const auto& db) { return of(*db).rule.permits(*db); });
}

storage::Keyspace* MemoryLimit::largest_evictable() const {
  storage::Keyspace* largest = nullptr;
  for (const auto& db : server_.databases)
    if (may_evict(*db) && (!largest || db->memory() > largest->memory())) largest = db.get();
  return largest;
}

const std::string* MemoryLimit::refusal_of(int database) {
  const storage::Keyspace& db = server_.database(database);
  if (over_budget(db) && !of(db).rule.permits(db)) {
    const std::string& name = server_.config.database[static_cast<size_t>(database)].name;
    text_ = fmt::format("{} Database: {}", kOom, name.empty() ? fmt::format("{}", database) : name);
    return &text_;
  }
  if (!over_maxmemory() || anything_evictable()) return nullptr;
  text_ = kOom;
  return &text_;
}

const std::string* MemoryLimit::refusal_to_swap(int a, int b) {
  for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)}) {
    if (from == to || server_.database(from).memory() <= of(server_.database(to)).budget) continue;
    const std::string& name = server_.config.database[static_cast<size_t>(to)].name;
    text_ = fmt::format("{} Database: {}", kOom, name.empty() ? fmt::format("{}", to) : name);
    return &text_;
  }
  return nullptr;
}

const std::string* MemoryLimit::refusal_within(int database, const CommandEntry& command, Args args) {
  const int grown = grown_database(server_, database, command, args);
  return grown >= 0 ? refusal_of(grown) : nullptr;
}

const std::string* MemoryLimit::refusal(const Session& session, const CommandEntry& command, Args args) {
  const Time now = server_.clock.now();
  const int64_t end_us = end_of(now.mono_us, slice_us_);
  if (command.flags & kEndsMulti) return refusal_of_transaction(session, end_us, now);
  const int database = session.database_of(command);
  make_room(server_.database(database), end_us, now);
  const int grown = grown_database(server_, database, command, args);
  if (grown >= 0) {
    if (grown != database) make_room(server_.database(grown), end_us, now);
    return refusal_of(grown);
  }
  // What waits for its EXEC takes memory too, whatever it will do then.
  if (session.queues(command) && session.queue_bytes > limits::kQueueBytesWhenFull && over_maxmemory()) return refusal_of(database);
  return nullptr;
}

const std::string* MemoryLimit::refusal_of_transaction(const Session& session, int64_t end_us, const Time& now) {
  int database = session.database;
  make_room(server_.database(database), end_us, now);
  std::vector<std::string_view> args;
  for (const QueuedCommand& queued : session.queue) {
    const Command& spec = *queued.command->spec;
    args.clear();
    if (spec.databases) args.assign(queued.arguments.begin(), queued.arguments.end());
    if (queued.command->flags & kSelects) {
      const int selected = server_.database_index(args[1]);
      if (selected >= 0) database = selected;
      continue;
    }
    const int grown = grown_database(server_, database, *queued.command, args);
    if (grown < 0) continue;
    make_room(server_.database(grown), end_us, now);
    if (const std::string* refusal = refusal_of(grown)) return refusal;
  }
  return nullptr;
}

// --- Eviction ---------------------------------------------------------------------------------------------------------

void MemoryLimit::evict_one(storage::Keyspace& db, const Time& now) {
  Database& database = of(db);
  if (!database.pool) database.pool = std::make_unique<storage::EvictionPool>();
  storage::Entry* entry = database.pool->choose(db, database.rule, now, server_.random);
  if (!entry) return;
  if (entry->expired(now.wall_ms())) {
    db.find(entry->key(), now.wall_ms());  // which erases it as what it is
  } else {
    db.evict(entry);
  }
}

void MemoryLimit::shrink_to_budget(storage::Keyspace& db, int64_t end_us, const Time& now) {
  while (over_budget(db) && may_evict(db)) {
    evict_one(db, now);
    if (server_.clock.now().mono_us >= end_us) return;
  }
}

void MemoryLimit::shrink_to_maxmemory(int64_t end_us, const Time& now) {
  // The largest is looked for again after some keys, because there may be many databases.
  constexpr int kKeysOfOne = 16;
  while (over_maxmemory()) {
    storage::Keyspace* db = largest_evictable();
    if (!db) return;
    for (int i = 0; i < kKeysOfOne && may_evict(*db) && over_maxmemory(); ++i) {
      evict_one(*db, now);
      if (server_.clock.now().mono_us >= end_us) return;
    }
  }
}

void MemoryLimit::make_room(storage::Keyspace& db, int64_t end_us, const Time& now) {
  if (!over_budget(db) && !over_maxmemory()) return;
  shrink_to_budget(db, end_us, now);
  shrink_to_maxmemory(end_us, now);
  note_latency(now);
}

void MemoryLimit::note_latency(const Time& begun) {
  const int64_t threshold_ms = server_.config.latency_monitor_threshold;
  const Time end = server_.clock.now();
  const int64_t ms = (end.mono_us - begun.mono_us) / 1000;
  if (threshold_ms > 0 && ms >= threshold_ms) server_.latency.add("eviction-cycle", static_cast<uint32_t>(ms), end.wall_us / 1'000'000);
}

bool MemoryLimit::work(const Time& now) {
  bool exceeded = false, more = false;
  if (any_) {
    const int64_t end_us = end_of(now.mono_us, std::min(slice_us_, kTickSliceUs));
    for (size_t i = 0; i < databases_.size(); ++i) {
      storage::Keyspace& db = *server_.databases[(turn_ + i) % databases_.size()];
      if (!over_budget(db)) continue;
      exceeded = true;
      shrink_to_budget(db, end_us, now);
      more = more || (over_budget(db) && may_evict(db));
    }
    // The next slice begins with another one, so that a large one keeps no other waiting.
    turn_ = (turn_ + 1) % databases_.size();
    if (over_maxmemory()) {
      exceeded = true;
      shrink_to_maxmemory(end_us, now);
      more = more || (over_maxmemory() && largest_evictable());
    }
    if (exceeded) note_latency(now);
  }
  if (exceeded_since_us_ && !exceeded) server_.stats.eviction_exceeded_us += now.mono_us - exceeded_since_us_;
  if (!exceeded) {
    exceeded_since_us_ = 0;
  } else if (!exceeded_since_us_) {
    exceeded_since_us_ = now.mono_us;
  }
  return more;
}

}  // namespace quartet::server
