#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/context.h"
#include "storage/eviction.h"

namespace quartet::storage {
class EvictionPool;
}

namespace quartet::server {

/// Keeps the databases within their budgets, and the whole server within `maxmemory`.
///
/// A database that is over its budget evicts among its own keys, by its own policy. While the whole server is over
/// `maxmemory`, the largest of the databases whose policy lets a key go gives way, key by key, so that in the end those that
/// have to give are equally large, and a small database loses nothing to a large one that grows. A database under `noeviction` never
/// loses a key.
///
/// Eviction is done before commands, those that only read too, and in Server::tick, in slices of time. Where one is
/// not enough the command is executed all the same, and the next one and the tick go on, so that a limit is exceeded for a while.
/// A command that needs memory is refused only where a limit is exceeded and no policy lets a key go that would help.
class MemoryLimit {
 public:
  explicit MemoryLimit(Server& server);
  ~MemoryLimit();

  /// Follows the settings, those of Server's configuration.
  void configure();
  /// Whether there is any limit. While there is none, nothing else needs to be asked.
  bool any() const { return any_; }

  /// Whether a limit may evict keys of the database by when or how often they were used.
  bool judges_accesses(const storage::Keyspace& db) const;

  /// Before a command of a client, or an EXEC, is executed or queued: makes room, and says why the command cannot be executed (the text
  /// of the error, good until the next call), or null.
  const std::string* refusal(const Session& session, const CommandEntry& command, Args args);
  /// The same for a command that a script or another command calls, where nothing is evicted.
  const std::string* refusal_within(int database, const CommandEntry& command, Args args);
  /// Why a database takes nothing more; null where it does.
  const std::string* refusal_of(int database);
  /// Why the contents of two databases cannot be exchanged; null where they can: each has to have room for what is in the other.
  const std::string* refusal_to_swap(int a, int b);

  /// Goes on with evicting; true where it wants to be called again soon.
  bool work(const Time& now);

  /// Bytes that do not count: what waits for the disk, what a snapshot and commands in slices hold, and what another thread is about to
  /// free.
  size_t not_counted() const;
  /// For how long a limit has been exceeded, in microseconds; 0 where none is.
  int64_t exceeded_for_us(const Time& now) const { return exceeded_since_us_ ? now.mono_us - exceeded_since_us_ : 0; }

 private:
  struct Database {
    size_t budget = SIZE_MAX;
    storage::EvictionRule rule;
    std::unique_ptr<storage::EvictionPool> pool;  // made when first needed
  };

  Database& of(const storage::Keyspace& db) { return databases_[static_cast<size_t>(db.index())]; }
  const Database& of(const storage::Keyspace& db) const { return databases_[static_cast<size_t>(db.index())]; }
  bool over_budget(const storage::Keyspace& db) const { return db.memory() > of(db).budget; }
  bool over_maxmemory() const;
  /// Whether keys may be evicted from a database at this moment. Where its policy permits it but the moment does not, it is done later.
  bool may_evict(const storage::Keyspace& db) const;
  bool anything_evictable() const;
  storage::Keyspace* largest_evictable() const;
  /// Evicts one key, or none where the search for it has to go on.
  void evict_one(storage::Keyspace& db, const Time& now);
  /// Evicts until the database is within its budget and the server within `maxmemory`, nothing more may be evicted, or the monotonic
  /// time is `end_us`.
  void make_room(storage::Keyspace& db, int64_t end_us, const Time& now);
  void shrink_to_budget(storage::Keyspace& db, int64_t end_us, const Time& now);
  void shrink_to_maxmemory(int64_t end_us, const Time& now);
  void note_latency(const Time& begun);
  const std::string* refusal_of_transaction(const Session& session, int64_t end_us, const Time& now);

  /// For how long `work` goes on at most, so that no client waits longer for it.
  static constexpr int64_t kTickSliceUs = 250;

  Server& server_;
  bool any_ = false;
  size_t maxmemory_ = SIZE_MAX;
  int64_t slice_us_ = 0;          // for how long one command may evict
  std::vector<Database> databases_;
  size_t turn_ = 0;               // the database with which `work` begins
  int64_t exceeded_since_us_ = 0;
  std::string text_;
};

}  // namespace quartet::server
