#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "persistence/rdb_writer.h"
#include "storage/snapshot_walk.h"

namespace quartet::persistence {

/// The bytes of an RDB file with the contents of some keyspaces as they are when this object is made, produced in
/// slices while the keyspaces go on changing (storage::SnapshotWalk says how). Its owner calls `step` as often as it
/// has time, takes the chunks and writes them, and behind the last one the eight bytes of the file's checksum.
/// Destroyed before it is done, the snapshot is given up, and the keyspaces are as if it had never been.
///
/// The entries of one database come in one or several runs, each behind the database's number, because an entry that is
/// about to change is written at once, whichever database the walk is in.
///
/// Memory: the chunks that were not taken yet, at most limits::kSnapshotChunks of the walk's own, and what changes of
/// clients made it write beyond that; the large entries that were erased and not yet written; and what a database held
/// that was flushed, until it is written.
class Snapshot final : public storage::SnapshotSink {
  using Walk = storage::SnapshotWalk;
  using Entry = storage::Entry;

 public:
  using Facts = std::span<const std::pair<std::string_view, std::string_view>>;

  /// In bytes and chunks; what they bound is said in base/limits.h.
  struct Bounds {
    size_t large_bytes = limits::kSnapshotLargeBytes;
    size_t chunk_bytes = limits::kSnapshotChunkBytes;
    size_t chunks = limits::kSnapshotChunks;
  };
  /// Begins. `facts` and `compress` as in RdbWriter. REQUIRES: the keyspaces are in the order of their indices; none of
  /// the keyspaces is in another snapshot (Keyspace::snapshot); they outlive this object.
  Snapshot(std::span<storage::Keyspace* const> keyspaces, Facts facts, bool compress, Bounds bounds);
  Snapshot(std::span<storage::Keyspace* const> keyspaces, Facts facts, bool compress)
      : Snapshot(keyspaces, facts, compress, Bounds()) {}
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;
  ~Snapshot() override;

  enum class State : uint8_t {
    Running,
    Full,  ///< nothing goes on before a chunk is taken
    Done,  ///< the last chunk is there to be taken
  };
  /// Produces about so many bytes, where the entries passed over count too; but at least one bucket of entries, or one
  /// slice of a large one. Some 100 ns for 25 bytes.
  State step(size_t budget_bytes);
  State state() const;

  /// The next bytes of the file: a chunk that is full, or, when the snapshot is done, the rest.
  std::optional<std::string> take();

  /// Whether a command that wants to change this entry has to wait, because the entry is large and not saved. Then it
  /// comes next, and the answer changes when `large_written` does. Commands that do not ask pay with the time that all
  /// of it takes; erasing it and replacing its value (Keyspace::erase, before_replace, clear) is free.
  bool must_wait(const storage::Keyspace& keyspace, Entry* entry);
  /// Large entries written so far.
  uint64_t large_written() const { return large_written_; }

  /// Entries at the beginning, and those of them that are written.
  size_t entries() const { return entries_; }
  size_t entries_written() const { return entries_written_; }
  /// Bytes produced, and those of them that are not taken yet.
  uint64_t bytes() const { return taken_bytes_ + waiting_bytes(); }
  size_t waiting_bytes() const { return chunk_bytes_ + out_.size() + aside_.size(); }
  /// Memory that it holds, in bytes: see above.
  size_t memory() const;
  /// What a chunk takes of it.
  static size_t memory_of(const std::string& chunk);

 private:
  /// A keyspace as it was at the beginning.
  struct Database {
    int index;
    size_t size, expiring;
    std::unique_ptr<Walk> walk;  // null when it is through
  };
  /// An entry that is written in slices.
  struct Large {
    Walk* walk;
    Entry* entry;
    bool kept;  // it has left its keyspace
  };

  void save(int database, const Entry& entry) override;
  void postpone(Walk& walk, Entry* entry) override;
  void finish(Entry* entry) override;
  void keep(Walk& walk, Entry* entry) override;

  const Database& database(int index) const;
  void select(int index);
  void large_step(size_t budget_bytes);
  std::list<Large>::iterator find(const Entry* entry);
  void cut_chunk();

  const Bounds bounds_;
  std::string out_;
  RdbWriter writer_;
  std::vector<Database> databases_;  // by index
  size_t turn_ = 0;                  // the one whose walk goes on with the next step; those before it are written
  bool done_ = false;
  int selected_ = -1;  // the database that the entries written next are in, for whoever reads them; -1: not said

  std::list<Large> large_;                // the first one is being written where there are slices_
  std::optional<RdbEntrySlices> slices_;
  std::string aside_;                     // what is written meanwhile, which cannot stand in the middle of that entry
  int selected_aside_ = -1;
  uint64_t large_written_ = 0;

  std::deque<std::string> chunks_;
  size_t chunk_bytes_ = 0;  // of all chunks_
  uint64_t taken_bytes_ = 0;
  size_t entries_ = 0;
  size_t entries_written_ = 0;
  size_t kept_bytes_ = 0;  // of the large entries that have left their keyspace
};

}  // namespace quartet::persistence
