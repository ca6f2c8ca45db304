#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
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
  /// The same as the settings say, for a process that has to end: what fails is tried until `shutdown-timeout` is over, and `ended` comes
  /// by then with whether all is durable; the log says what is not. `aborted` comes instead, where it is.
  void terminate(std::function<void(bool durable)> ended, std::function<void()> aborted);
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

  /// FLUSHALL: where rules of `save` ask for snapshots, one without the data that are gone. Returns its ticket, for the reply to
  /// wait for, or 0 where there is nothing to wait for.
  uint64_t save_flushed();
  /// Whether a snapshot of at least the moment of this ticket is there, or has failed, after which changes are refused.
  bool is_saved(uint64_t ticket) const { return saves_ended_ >= ticket; }

  /// Whether commands that change some database are refused.
  bool refuses() const { return (log_ && log_->failure()) || (!outcomes_.last_save_ok && snapshots_fail()); }
  /// Why commands that change this database are refused; null where they are not.
  const std::string* refusal(int database);
  /// Whether what is done in one database is kept as well and as long as what is done in the other.
  bool alike(int a, int b) const;

  /// BGSAVE: all databases that are kept. REQUIRES for both: no snapshot is under way, and no unit is open.
  void save_in_background();
  /// BGSAVE DB: one database, to a file of its own, named by save_file_name.
  void save_in_background(int database);
  std::string save_file_name(int database) const;
  /// SAVE, while everybody waits.
  Result<void> save();
  /// BGREWRITEAOF: whether it has begun, or only been put down for later. REQUIRES: log().
  bool rewrite();
  /// Whether a snapshot of BGSAVE is being written, not the base of a rewrite.
  bool saving() const { return saving_.running() && !rewriting(); }
  /// The same as soon as may be.
  void schedule_save() { save_scheduled_ = true; }
  void schedule_save(int database) { databases_to_save_.insert(database); }
  /// The append-only file may lack something that was changed: it is written anew as soon as possible.
  void schedule_rewrite() { rewrite_scheduled_ = rewrite_scheduled_ || log_; }

  /// Follows the settings, where a unit of the feed is open as soon as it has ended; an error text where the disk does not allow it.
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
  void say_loaded(double seconds) const;
  using Logs = std::vector<std::unique_ptr<persistence::AofLog>>;
  Logs::const_iterator find_ended_log(const std::string& directory) const;
  std::unique_ptr<persistence::AofLog> take_ended_log(const std::string& directory);
  std::unique_ptr<persistence::AofLog> make_log(const std::string& directory);
  void begin_log(std::unique_ptr<persistence::AofLog> log);
  [[nodiscard]] std::optional<std::string> prepare_log();
  void begin_log_at_run_time();
  void follow_settings();
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
  void save_done(const Result<void>& outcome, const std::vector<uint64_t>& saved, uint64_t ticket);
  /// Gives up the snapshot under way, if there is one, for another one that goes first.
  void make_way(std::string_view why);
  void base_written(uint64_t number, const Result<void>& outcome, const std::string& path);
  void follow_rewrite();
  bool save_is_due() const;
  bool rewrite_is_due() const;
  bool all_durable() const;
  void begin_shutdown(bool force, bool patient, std::function<void(bool)> ended);
  void shutdown_step();
  void say_not_durable() const;
  bool say_not_saved() const;
  /// Where the append-only file is: a log that runs stays where it began, whatever `dir` says since.
  std::string log_directory() const;
  [[nodiscard]] std::optional<std::string> lock();
  [[nodiscard]] std::optional<std::string> take_over_old_log();
  [[nodiscard]] std::optional<std::string> check_unnamed_files();
  void remove_leftovers(const std::string& directory, const std::function<bool(std::string_view name)>& is_left_over);
  std::unique_ptr<persistence::SnapshotFile> snapshot_file(const std::string& directory);
  /// Whether a file has a name that snapshot_file gives.
  static bool is_temporary_name(std::string_view name);

  Server& server_;
  persistence::Disk& disk_;
  std::map<std::string, std::unique_ptr<persistence::DirectoryLock>> locks_;  // by directory, until the end
  std::unique_ptr<Loading> loading_;
  std::string begins_in_;                 // where the log is that begins when all is loaded; empty where none was wanted at the start
  persistence::Manifest manifest_;        // of the files that are loaded, or beside which a log begins at run time
  std::unique_ptr<persistence::AofLog> log_;
  Logs ended_logs_;  // that `log_` was until nothing was to be logged any more
  bool any_always_ = false;               // a database is under `always`
  bool holds_ = false;
  Saving saving_;
  int64_t saving_since_us_ = 0;

  GroupCommit group_commit_;

  std::optional<uint64_t> rewrite_;       // the one under way: its number
  int64_t rewrite_since_us_ = 0;
  uint64_t rewrites_adopted_ = 0;
  bool rewrite_scheduled_ = false, save_scheduled_ = false;
  std::set<int> databases_to_save_;       // each to a file of its own
  uint64_t saves_wanted_ = 0;             // the last ticket of save_flushed
  uint64_t save_ticket_ = 0;              // the last one when the snapshot under way began
  uint64_t saves_ended_ = 0;              // up to this one is_saved
  int64_t not_before_us_ = 0;             // after a failure the next try waits
  bool log_failing_ = false;              // so that the log is told once
  int64_t log_failing_since_us_ = 0;
  uint64_t temporary_files_ = 0;
  std::string refusal_;

  struct Shutdown {
    bool force;    // a failure is no reason to go on
    bool patient;  // a failure may end by itself until the deadline
    int64_t deadline_us;
    std::function<void(bool)> ended;
  };
  std::optional<Shutdown> shutdown_;
  Outcomes outcomes_;
};

}  // namespace quartet::server
