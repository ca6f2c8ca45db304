#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "persistence/aof_log.h"
#include "persistence/file.h"
#include "server/group_commit.h"
#include "server/loading.h"
#include "server/saving.h"

namespace quartet::server {

class Server;

/// What keeps the data beyond the process: loading at the start, the append-only file, and snapshots. It decides when
/// each happens; how is persistence's and that of Loading and Saving.
class Durability {
 public:
  Durability(Server& server, persistence::Disk& disk);
  ~Durability();

  // --- Start and end ------------------------------------------------------------------------------------------------

  /// Takes the directory and finds out what there is to load; the error is one line. To be called once, before anything else.
  [[nodiscard]] std::optional<std::string> open();
  /// Whether clients have to wait for the data of an earlier process.
  bool loading() const { return loading_ != nullptr; }
  const Loading* load() const { return loading_.get(); }
  /// A slice of loading; true while more is to come. Ends the process where the data cannot be loaded.
  bool load_slice();

  /// SHUTDOWN: makes everything durable that is to be, and saves where `save` says so. `ended` comes when that is done or has
  /// failed, possibly before this returns.
  enum class Save : uint8_t { AsConfigured, Yes, No };
  void shut_down(Save save, bool force, std::function<void(bool durable)> ended);
  bool shutting_down() const { return static_cast<bool>(shutdown_); }
  /// SHUTDOWN ABORT; false where none is under way.
  bool abort_shutdown();

  // --- The loop -----------------------------------------------------------------------------------------------------

  /// At the end of each turn, before replies are sent: what came in it goes on its way to the disk. True where more is
  /// waited for that is expected at once, so that the loop must not sleep.
  bool end_turn();
  /// What time asks for: save rules, rewrites, a new base. True while it wants to be called again soon.
  bool tick();

  // --- Commands -----------------------------------------------------------------------------------------------------

  /// Whether replies may have to wait for the disk.
  bool holds() const { return holds_; }
  /// The position up to which the log has to be durable before a reply may leave that tells of this database; 0: none.
  uint64_t awaited(int database) const {
    const uint64_t position = log_->last_always(database);
    return position > log_->durable() ? position : 0;
  }
  bool is_durable(uint64_t position) const { return !log_ || log_->durable() >= position; }

  /// Whether commands that change some database are refused.
  bool refuses() const { return (log_ && log_->failure()) || (!outcomes_.last_save_ok && snapshots_fail()); }
  /// Why commands that change this database are refused; null where they are not.
  const std::string* refusal(int database);
  /// Whether what is done in one database is kept as well and as long as what is done in the other.
  bool alike(int a, int b) const;

  /// BGSAVE: all databases that are kept. REQUIRES for both: no snapshot is under way.
  void save_in_background();
  /// BGSAVE DB: one database, to a file of its own, whose name is returned.
  std::string save_in_background(int database);
  /// SAVE, while everybody waits.
  Result<void> save();
  /// BGREWRITEAOF: whether it has begun, or only been put down for later. REQUIRES: log().
  bool rewrite();
  /// Whether a snapshot of BGSAVE is being written, not the base of a rewrite.
  bool saving() const { return saving_.running() && !rewriting(); }
  void schedule_save() { save_scheduled_ = true; }

  /// Follows the settings; an error text where the disk does not allow it.
  [[nodiscard]] std::optional<std::string> configure();

  // --- INFO ---------------------------------------------------------------------------------------------------------

  struct Outcomes {
    int64_t last_save_s = 0;            // when, seconds since the epoch
    bool last_save_ok = true;           // of BGSAVE, or of a SAVE that succeeded since
    int64_t last_save_took_s = -1;      // of BGSAVE
    uint64_t saves = 0;
    bool last_rewrite_ok = true;
    int64_t last_rewrite_took_s = -1;
    uint64_t rewrites = 0;
    uint64_t rewrite_failures = 0;      // since the last success
    uint64_t keys_loaded = 0, keys_expired = 0;
  };
  const Outcomes& outcomes() const { return outcomes_; }
  const persistence::AofLog* log() const { return log_.get(); }
  bool rewriting() const { return rewrite_.has_value(); }
  bool rewrite_scheduled() const { return rewrite_scheduled_; }
  const Saving& current_save() const { return saving_; }
  int64_t saving_since_us() const { return saving_since_us_; }

 private:
  bool run_job();
  void job_done(persistence::AofLog& log, std::unique_ptr<persistence::AofJob> job);
  void loaded();
  std::unique_ptr<persistence::AofLog> take_ended_log(const std::string& directory);
  std::unique_ptr<persistence::AofLog> make_log(const std::string& directory);
  void begin_log(std::unique_ptr<persistence::AofLog> log);
  [[nodiscard]] std::optional<std::string> begin_log_at_run_time();
  void end_log();
  /// Gives up the present files and the rewrite that may be under way.
  void leave_files();
  void set_policies();
  /// Replies are held as long as a database is under `always`, or something is not durable that was written when one was.
  void decide_holding() { holds_ = any_always_ || log_->owes(); }
  bool any_logged() const;
  bool snapshots_fail() const;
  /// Whether snapshots of all databases hold this one: not where its own settings say that it is not to be kept.
  bool is_kept(int database) const;
  std::vector<storage::Keyspace*> kept_databases() const;
  /// Whether rules of `save` may ask for snapshots: of all databases, or of this one.
  bool saves_by_rule() const;
  bool saves_by_rule(int database) const;
  /// The unsaved changes of each database.
  std::vector<uint64_t> unsaved() const;
  void save_done(const Result<void>& outcome, const std::vector<uint64_t>& saved);
  void base_written(uint64_t number, const Result<void>& outcome, const std::string& path);
  void follow_rewrite();
  bool save_is_due() const;
  bool rewrite_is_due() const;
  void shutdown_step();
  /// Where the append-only file is: a log that runs stays where it began, whatever `dir` says since.
  std::string log_directory() const;
  [[nodiscard]] std::optional<std::string> lock();
  void remove_leftovers(const std::string& directory, const std::function<bool(std::string_view name)>& is_left_over);
  std::unique_ptr<persistence::SnapshotFile> snapshot_file(const std::string& directory);

  Server& server_;
  persistence::Disk& disk_;
  std::map<std::string, std::unique_ptr<persistence::DirectoryLock>> locks_;  // by directory, until the end
  std::unique_ptr<Loading> loading_;
  std::string begins_in_;                 // where the log is that begins when all is loaded; empty where none was wanted at the start
  persistence::Manifest manifest_;        // of the files being loaded
  std::unique_ptr<persistence::AofLog> log_;
  std::vector<std::unique_ptr<persistence::AofLog>> ended_logs_;  // that `log_` was until nothing was to be logged any more
  bool any_always_ = false;               // a database is under `always`
  bool holds_ = false;
  Saving saving_;
  int64_t saving_since_us_ = 0;

  GroupCommit group_commit_;

  std::optional<uint64_t> rewrite_;       // the one under way: its number
  int64_t rewrite_since_us_ = 0;
  uint64_t rewrites_adopted_ = 0;
  bool rewrite_scheduled_ = false, save_scheduled_ = false;
  int64_t not_before_us_ = 0;             // after a failure the next try waits
  bool log_failing_ = false;              // so that the log is told once
  uint64_t temporary_files_ = 0;
  std::string refusal_;

  struct Shutdown {
    bool force;
    int64_t deadline_us;
    std::function<void(bool)> ended;
  };
  std::optional<Shutdown> shutdown_;
  Outcomes outcomes_;
};

}  // namespace quartet::server
