#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "persistence/aof_increment.h"
#include "persistence/manifest.h"

namespace quartet::persistence {

/// What becomes of the files once the effects of a piece are in the increment.
enum class AofStep {
  None,
  Resume,     ///< the log begins on files that are there: go on in the last increment, or open one
  Switch,     ///< the effects that follow go to a new increment
  AdoptBase,  ///< a new base takes the place of everything before the last switch
};

/// Effects that are to be written together, in order, and a step that follows them.
struct AofPiece {
  AofBuffer effects;
  uint64_t end = 0;  // the log's position behind them
  AofStep step = AofStep::None;
  /// Switch and Resume: the increment that follows. AdoptBase: the base.
  std::string name;
  int64_t sequence = 0;
  /// The manifest that the step makes valid, as of when the job is taken; none where the increment is not to be
  /// named yet.
  std::optional<Manifest> manifest;
  /// Resume: where the increment of this name ends; none where it is to be created.
  std::optional<uint64_t> resume_at;
  /// AdoptBase: the file with the base, complete and synced.
  std::string base_path;
  /// Switch and Resume: the increment, where an earlier try has come so far.
  std::unique_ptr<AofIncrement> opened;
};

/// Work of the log for a thread that may wait: made by AofLog::take_job, run once, given back to AofLog::completed.
/// It owns what it works on and touches nothing else.
class AofJob {
 public:
  /// Any thread.
  void run();

 private:
  friend class AofLog;
  AofJob(Disk& disk, const std::string& directory, const std::string& file_name)
      : disk_(disk), directory_(directory), file_name_(file_name) {}

  Result<void> write_and_sync();
  Result<void> step();
  Result<void> open_next();
  Result<void> adopt_base();
  void remove_history();

  Disk& disk_;
  const std::string& directory_;
  const std::string& file_name_;
  std::unique_ptr<AofIncrement> increment_;  // that the effects go to; null where none is open
  AofPiece piece_;
  bool sync_ = false;

  // What came of it.
  bool written_ = false;
  bool synced_ = false;
  bool sync_failed_ = false;
  bool stepped_ = false;
  uint64_t base_size_ = 0;
  std::optional<Error> error_;
};

}  // namespace quartet::persistence
