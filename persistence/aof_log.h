#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "persistence/aof_job.h"
#include "persistence/feed.h"

namespace quartet::persistence {

enum class FsyncPolicy { Always, Everysec, No };

/// The append-only file as it is written: a sink of the feed that turns effects into batches, and batches into jobs for
/// threads that may wait. It has no thread, no clock and no file of its own: the loop asks it for a job, has that run
/// elsewhere, and gives it back. One job at a time is under way, and everything keeps its order.
///
/// A **position** is a place in the row of all logged effects; it only grows. What precedes `written()` has been handed
/// to the operating system, what precedes `durable()` survives a power cut. `last_always(db)` says up to where replies
/// about a database have to wait.
///
///              switch_file                adopt_base
///     Whole ----------------> Whole ---------------------> Whole
///       | a sync failed, the backlog                         ^
///       v is full, begin_anew      switch_file  adopt_base   |
///     Broken --------------------> Candidate ----------------+
///
/// Broken: the files keep what was durable, but nothing can be added to them, because there may be holes behind that;
/// effects are counted and dropped. A log begins so where there are no files. Candidate: effects go to an increment
/// that the manifest does not name, and nothing becomes durable, until a base is there that holds all that precedes it.
///
/// A write that fails is tried again from the same batch until it succeeds or the backlog is full.
class AofLog final : public Sink {
 public:
  /// The directory exists, with its own name durable, and is locked by the caller. `file_name` is `appendfilename`.
  /// `databases` is how many there are; none is logged until set_database says so.
  AofLog(Disk& disk, std::string directory, std::string file_name, int databases);

  /// Goes on with the files of a manifest, all of which were loaded and are whole and durable (see cut_tail); `size` is
  /// their size in bytes, `base_size` that of the base. `last_end` is the size of the last increment, where it is to be
  /// continued; without it a new one is opened.
  /// REQUIRES: nothing was appended yet; the manifest is not empty.
  void resume(const Manifest& manifest, uint64_t size, uint64_t base_size, std::optional<uint64_t> last_end);

  /// Begins beside the files of a manifest that are not to be gone on with: they stand until the first base replaces
  /// them.
  /// REQUIRES: nothing was appended yet.
  void supersede(const Manifest& manifest);

  /// Whether a database's effects are logged from now on, and how they are synced.
  void set_database(int database, bool logged, FsyncPolicy policy);
  bool logs(int database) const { return databases_[static_cast<size_t>(database)].logged; }

  void append(const Effect& effect) override;
  void begin_unit() override { in_unit_ = true; }
  void end_unit() override;
  void abandon_unit() override;

  uint64_t position() const { return position_; }
  uint64_t written() const { return written_; }
  uint64_t durable() const { return durable_; }
  /// The position behind the last effect into the database under `always`; 0 where there was none.
  uint64_t last_always(int database) const { return databases_[static_cast<size_t>(database)].last_always; }
  /// Whether a reply about any database has still to wait.
  bool owes() const { return last_always_ > durable_; }
  const std::string& directory() const { return directory_; }

  /// What is to be done now, or null: nothing, or a job is under way, or it is too early to try again. `now_us` is
  /// monotonic. To be asked at the end of every turn in which effects came, and some ten times a second.
  /// REQUIRES: no unit is open.
  std::unique_ptr<AofJob> take_job(int64_t now_us);
  /// Takes a job back that has run. REQUIRES: no unit is open.
  void completed(std::unique_ptr<AofJob> job, int64_t now_us);
  bool job_under_way() const { return job_under_way_; }
  /// Asks for everything so far to be synced, whatever the policies are.
  void request_sync() { sync_requested_ = position_; }
  /// Under no-appendfsync-on-rewrite: no sync for `everysec` while this is set.
  void pause_everysec(bool paused) { everysec_paused_ = paused; }

  /// Why writing does not succeed at present: commands that change logged databases are to be refused. Set from the
  /// first failure on until a write succeeds or, where the log broke, until a new base is adopted.
  const std::optional<Error>& failure() const { return failure_; }
  /// Whether the files hold all that is durable; otherwise they wait for a new base.
  bool whole() const { return state_ == State::Whole; }
  /// Whether the files end here: a rewrite has to begin, with switch_file, or nothing will be durable any more.
  bool needs_new_base() const { return state_ == State::Broken; }
  /// Bytes in memory that are not written yet; at limits::kAofBacklogBytes the log breaks.
  size_t backlog() const { return backlog_ + open_.size(); }
  /// What the log takes of memory, in bytes, room that is kept for effects to come included.
  size_t memory() const;
  /// The size of the base and all increments that count, and of the base alone, in bytes.
  uint64_t size() const { return earlier_size_ + current_size_; }
  uint64_t base_size() const { return base_size_; }

  /// Begins a rewrite: effects from now on go to a new increment; the caller takes a snapshot of exactly this moment.
  /// Returns the rewrite's number. REQUIRES: no unit is open and no rewrite is under way.
  uint64_t switch_file();
  /// The rewrite under way: from switch_file until it was adopted or abandoned, or was lost because the log broke.
  std::optional<uint64_t> rewrite() const { return rewrite_; }
  /// Makes the snapshot the base: a file of RDB, complete and synced, on the same file system, which is renamed.
  /// Nothing happens where the rewrite is not under way any more.
  void adopt_base(uint64_t rewrite, std::string path);
  /// `failure` is what the disk said, if that is the reason.
  void abandon_rewrite(uint64_t rewrite, std::optional<Error> failure = {});
  /// Leaves the files as they are, for a row of them that begins with the next switch_file: a database that is to be
  /// logged from now on has to be in the base before anything counts that is added behind it. Positions go on.
  /// REQUIRES: no unit is open.
  void begin_anew();
  /// How many rewrites were adopted, and what the last one that was not failed of.
  uint64_t rewrites_done() const { return rewrites_done_; }
  const std::optional<Error>& rewrite_error() const { return rewrite_error_; }

 private:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::min() / 2;

  enum class State { Whole, Broken, Candidate };
  struct Database {
    bool logged = false;
    FsyncPolicy policy = FsyncPolicy::Everysec;
    uint64_t last_always = 0;
  };

  void effects_end();
  std::string next_increment();
  void push(AofPiece piece);
  bool must_sync(int64_t now_us) const;
  void prepare_step(AofPiece& piece) const;
  void retry(AofPiece piece, Error error, int64_t now_us);
  void step_done(AofPiece& piece, uint64_t base_size);
  void step_failed(AofPiece piece, Error error, int64_t now_us);
  void break_off(std::optional<Error> failure);

  Disk& disk_;
  const std::string directory_;
  const std::string file_name_;
  std::vector<Database> databases_;
  State state_ = State::Broken;

  // The batches being filled, and of an open unit how many effects it has and where its MULTI stands.
  AofBuffer open_;
  int selected_ = -1;  // the database of the last SELECT, -1 at the beginning of a file
  bool in_unit_ = false;
  size_t unit_effects_ = 0;
  size_t unit_multi_ = 0, unit_multi_bytes_ = 0;

  // What waits to be written before `open_`, in order: what a write failed for, and pieces that steps follow.
  std::deque<AofPiece> queue_;
  size_t backlog_ = 0;  // bytes in queue_ and in the job under way
  AofBuffer spare_;     // memory to go on with when open_ is handed out
  bool job_under_way_ = false;
  size_t job_memory_ = 0;  // of its effects
  bool lost_ = false;  // the log broke since the job under way was taken: its outcome does not count
  int64_t retry_at_us_ = 0;
  int64_t sync_began_us_ = kNever;  // the last one that left nothing behind
  bool everysec_paused_ = false;

  uint64_t position_ = 0;
  uint64_t written_ = 0;
  uint64_t synced_ = 0;   // of the present increment and those before; durable_ once they are named
  uint64_t durable_ = 0;
  uint64_t last_always_ = 0, last_everysec_ = 0, sync_requested_ = 0;

  std::unique_ptr<AofIncrement> increment_;  // null while a job has it, and where there is none
  Manifest manifest_;                        // as it is on disk
  int64_t base_sequence_ = 0, increment_sequence_ = 0;  // the last ones given out; none is used twice
  int64_t kept_from_ = 0;  // the sequence of the first increment that the base of the rewrite under way leaves
  uint64_t earlier_size_ = 0, current_size_ = 0, base_size_ = 0;

  std::optional<Error> failure_;
  std::optional<uint64_t> rewrite_;
  uint64_t rewrites_begun_ = 0, rewrites_done_ = 0;
  std::optional<Error> rewrite_error_;
};

}  // namespace quartet::persistence
