#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "persistence/snapshot.h"
#include "persistence/snapshot_file.h"

namespace quartet::server {

class Server;

/// The one snapshot that is being written at a time, for BGSAVE or as the base of a rewrite: produced in slices on the loop,
/// written on another thread.
class Saving {
 public:
  /// What the file is for, when all of it is written and synced, on the writing thread: SnapshotFile::publish for `dump.rdb`.
  using Finish = std::function<Result<void>(persistence::SnapshotFile&)>;
  /// On the loop, once, when nothing more is to come: success, or why there is no file.
  using Done = std::function<void(const Result<void>&)>;
  using Facts = std::span<const std::pair<std::string_view, std::string_view>>;

  explicit Saving(Server& server) : server_(server) {}
  ~Saving();

  /// Begins with the databases as they are now. REQUIRES: !running().
  void begin(std::span<storage::Keyspace* const> databases, Facts facts, std::unique_ptr<persistence::SnapshotFile> file,
             Finish finish, Done done);
  /// The same from beginning to end on this thread, while everybody waits (SAVE). REQUIRES: !running().
  Result<void> run(std::span<storage::Keyspace* const> databases, Facts facts, persistence::SnapshotFile& file, const Finish& finish);
  /// Gives up; `done` is told so, by ECANCELED.
  void abort(std::string_view why);

  /// From the beginning until all of it is on disk; Server::snapshot is there as long as it is being produced.
  bool running() const;
  /// A slice of the walk, unless there is none, or the last one has only just been. To be called in every turn.
  void slice() {
    if (file_) take_slice();
  }

  /// Memory that the snapshot and the write under way hold, in bytes.
  size_t memory() const;
  size_t entries() const { return entries_; }
  size_t entries_written() const;

 private:
  void take_slice();
  void write_on();
  void written(const Result<void>& outcome, bool last);

  Server& server_;
  std::shared_ptr<persistence::SnapshotFile> file_;  // shared with the thread that writes it
  Finish finish_;
  Done done_;
  uint64_t number_ = 0;     // of the snapshot, so that a write that comes back late is known
  bool writing_ = false;    // a write of this snapshot is under way
  bool finishing_ = false;  // the last one is
  size_t write_bytes_ = 0;  // of memory, of a write under way
  int64_t slice_ended_us_ = 0;
  size_t entries_ = 0;
};

}  // namespace quartet::server
