#include "server/durability.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cerrno>

#include "server/server.h"
#include "server/version.h"

namespace quartet::server {

namespace {

using persistence::AofJob;
using persistence::AofLog;
using persistence::FsyncPolicy;
using persistence::SnapshotFile;

/// After a snapshot or a rewrite has failed, the next one waits so long.
constexpr int64_t kRetryUs = 5'000'000;

FsyncPolicy policy_of(std::string_view name) {
  if (name == "always") return FsyncPolicy::Always;
  return name == "no" ? FsyncPolicy::No : FsyncPolicy::Everysec;
}

/// What a file of RDB says about itself, as redis-server's do.
class Facts {
 public:
  Facts(Server& server, bool base)
      : ctime_(std::to_string(server.clock.now().wall_us / 1'000'000)), used_(std::to_string(server.used_memory())) {
    facts_ = {{{"redis-ver", kRedisVersion}, {"redis-bits", "64"}, {"ctime", ctime_}, {"used-mem", used_},
               {"aof-base", base ? "1" : "0"}}};
  }
  operator Saving::Facts() const { return facts_; }

 private:
  const std::string ctime_, used_;
  std::array<std::pair<std::string_view, std::string_view>, 5> facts_;
};

constexpr std::string_view kTemporaryPrefix = "temp-", kTemporarySuffix = ".rdb";

/// Whether a snapshot has no file only because the server wanted none any more (see Saving::abort).
bool was_given_up(const Result<void>& outcome) { return !outcome && outcome.error().code == ECANCELED; }

}  // namespace

Durability::Durability(Server& server, persistence::Disk& disk) : server_(server), disk_(disk), saving_(server) {
  outcomes_.last_save_s = server.clock.now().wall_us / 1'000'000;
}

Durability::~Durability() {
  if (log_) server_.feed.remove(*log_);
}

// --- Files and settings -----------------------------------------------------------------------------------------------

std::string Durability::log_directory() const {
  return log_ ? log_->directory() : server_.config.dir + "/" + server_.config.appenddirname;
}

bool Durability::any_logged() const {
  const auto& databases = server_.config.database;
  return std::any_of(databases.begin(), databases.end(), [](const DatabaseConfig& database) { return database.appendonly; });
}

bool Durability::is_temporary_name(std::string_view name) {
  if (!name.starts_with(kTemporaryPrefix) || !name.ends_with(kTemporarySuffix)) return false;
  name.remove_prefix(kTemporaryPrefix.size());
  name.remove_suffix(kTemporarySuffix.size());
  return !name.empty() && name.find_first_not_of("0123456789") == name.npos;
}

/// Where a file stays it does no harm.
void Durability::remove_leftovers(const std::string& directory, const std::function<bool(std::string_view name)>& is_left_over) {
  const Result<std::vector<std::string>> names = disk_.list(directory);
  if (!names) return;
  for (const std::string& name : *names) {
    if (!is_left_over(name)) continue;
    const Result<void> removed = disk_.remove(directory + "/" + name);
    static_cast<void>(removed);
  }
}

/// Takes the directory where anything is to be kept in it.
std::optional<std::string> Durability::lock() {
  const Config& config = server_.config;
  if ((!any_logged() && !saves_by_rule()) || locks_.contains(config.dir)) return {};
  Result<std::unique_ptr<persistence::DirectoryLock>> lock = disk_.lock_directory(config.dir);
  if (!lock) return lock.error().text;
  locks_.emplace(config.dir, std::move(*lock));
  return {};
}

/// One that has ended in this directory, where there is one: a job of it may still be under way in its files.
Durability::Logs::const_iterator Durability::find_ended_log(const std::string& directory) const {
  return std::find_if(ended_logs_.begin(), ended_logs_.end(), [&](const auto& log) { return log->directory() == directory; });
}

std::unique_ptr<AofLog> Durability::take_ended_log(const std::string& directory) {
  const auto ended = ended_logs_.begin() + (find_ended_log(directory) - ended_logs_.cbegin());
  if (ended == ended_logs_.end()) return nullptr;
  std::unique_ptr<AofLog> log = std::move(*ended);
  ended_logs_.erase(ended);
  return log;
}

std::unique_ptr<AofLog> Durability::make_log(const std::string& directory) {
  return std::make_unique<AofLog>(disk_, directory, server_.config.appendfilename, static_cast<int>(server_.databases.size()));
}

void Durability::begin_log(std::unique_ptr<AofLog> log) {
  log_ = std::move(log);
  set_policies();
  server_.feed.add(*log_);
}

void Durability::end_log() {
  server_.feed.remove(*log_);
  leave_files();
  rewrite_scheduled_ = false;
  ended_logs_.push_back(std::move(log_));
  any_always_ = holds_ = log_failing_ = false;
  server_.release_held();
}

void Durability::leave_files() {
  if (rewrite_) {
    rewrite_.reset();
    if (saving_.running()) saving_.abort("the databases that are logged have changed");
  }
  log_->begin_anew();
}

void Durability::set_policies() {
  any_always_ = false;
  for (size_t i = 0; i < server_.config.database.size(); ++i) {
    const DatabaseConfig& database = server_.config.database[i];
    const FsyncPolicy policy = policy_of(database.appendfsync);
    // What is in the middle of a unit joins the log, or leaves it, when that has ended.
    const bool logged = server_.feed.in_unit() ? log_->logs(static_cast<int>(i)) : database.appendonly;
    log_->set_database(static_cast<int>(i), logged, policy);
    any_always_ = any_always_ || (logged && policy == FsyncPolicy::Always);
  }
  decide_holding();
  log_->pause_everysec(server_.config.no_appendfsync_on_rewrite && saving_.running());
}

std::optional<std::string> Durability::configure() {
  if (loading_) return {};
  if (auto error = lock()) return error;
  if (auto error = prepare_log()) return error;
  if (log_ && server_.feed.in_unit()) set_policies();
  server_.feed.between_units([this] { follow_settings(); });
  return {};
}

void Durability::follow_settings() {
  if (!any_logged()) {
    if (log_) end_log();
    return;
  }
  bool joins = !log_, leaves = false;
  for (size_t i = 0; log_ && i < server_.config.database.size(); ++i) {
    const bool logged = log_->logs(static_cast<int>(i)), logs = server_.config.database[i].appendonly;
    joins = joins || (logs && !logged);
    leaves = leaves || (logged && !logs);
  }
  if (!joins) {
    set_policies();
    // What has left stays in the files as it was until they are rewritten, and the others go on in them.
    if (leaves && rewriting()) rewrite_scheduled_ = true;
    if (leaves && !rewriting()) rewrite();
    return;
  }
  // A database that joins has to be in the base before anything counts that is added behind it, so the files begin anew.
  // Until the new base is there the old ones stand.
  if (log_) {
    leave_files();
    set_policies();
  } else {
    begin_log_at_run_time();
  }
  rewrite();
}

/// All that may fail about a log that is to begin at run time.
std::optional<std::string> Durability::prepare_log() {
  const std::string directory = log_directory();
  if (log_ || !any_logged() || find_ended_log(directory) != ended_logs_.end()) return {};
  if (Result<void> made = disk_.make_directory(directory); !made) return made.error().text;
  if (Result<void> synced = disk_.sync_directory(server_.config.dir); !synced) return synced.error().text;
  Result<persistence::Manifest> manifest = persistence::read_manifest(disk_, directory, server_.config.appendfilename);
  if (!manifest) return manifest.error().text;
  manifest_ = std::move(*manifest);
  return {};
}

void Durability::begin_log_at_run_time() {
  const std::string directory = log_directory();
  if (std::unique_ptr<AofLog> ended = take_ended_log(directory)) return begin_log(std::move(ended));
  begin_log(make_log(directory));
  log_->supersede(manifest_);
}

// --- The append-only file ---------------------------------------------------------------------------------------------

bool Durability::end_turn() {
  saving_.slice();
  if (!log_) return false;
  const int64_t now_us = holds_ ? server_.clock.now().mono_us : 0;
  if (holds_) group_commit_.arrived(now_us, server_.held_count());
  while (!log_->job_under_way()) {
    if (holds_ && group_commit_.waits(now_us, server_.held_count())) return true;
    if (!run_job()) break;
  }
  return false;
}

bool Durability::run_job() {
  const int64_t now_us = server_.clock.now().mono_us;
  std::unique_ptr<AofJob> job = log_->take_job(now_us);
  if (!job) return false;
  group_commit_.began(now_us);
  // std::function wants something that can be copied.
  const auto shared = std::make_shared<std::unique_ptr<AofJob>>(std::move(job));
  server_.background.run_ahead([shared] { (*shared)->run(); },
                               [this, shared, log = log_.get()] { job_done(*log, std::move(*shared)); });
  return true;
}

void Durability::job_done(AofLog& log, std::unique_ptr<AofJob> job) {
  log.completed(std::move(job), server_.clock.now().mono_us);
  if (&log != log_.get()) return;
  const bool failing = log.failure().has_value();
  if (failing && !log_failing_) server_.log.warning("The append-only file cannot be written: {}", log.failure()->text);
  if (failing && !log_failing_) log_failing_since_us_ = server_.clock.now().mono_us;
  if (!failing && log_failing_) server_.log.notice("The append-only file is written again");
  log_failing_ = failing;
  follow_rewrite();
  if (holds_) {
    const size_t held = server_.held_count();
    server_.release_held();
    group_commit_.ended(server_.clock.now().mono_us, held - server_.held_count(), server_.held_count());
    decide_holding();
  }
  if (shutdown_) shutdown_step();
}

bool Durability::rewrite() {
  // In the middle of a unit the file cannot end.
  if (saving_.running() || server_.feed.in_unit()) {
    rewrite_scheduled_ = true;
    return false;
  }
  rewrite_scheduled_ = false;
  // What they have changed is in the snapshot, and has to be carried before it.
  server_.long_commands.finish_writers();
  const uint64_t number = log_->switch_file();
  rewrite_ = number;
  rewrite_since_us_ = saving_since_us_ = server_.clock.now().mono_us;
  std::vector<storage::Keyspace*> databases;
  for (const auto& database : server_.databases)
    if (log_->logs(database->index())) databases.push_back(database.get());
  server_.log.notice("Background append only file rewriting started");
  const auto path = std::make_shared<std::string>();
  saving_.begin(
      databases, Facts(server_, true), snapshot_file(log_directory()),
      [path](SnapshotFile& file) {
        *path = file.hand_over();
        return Result<void>();
      },
      [this, number, path](const Result<void>& outcome) { base_written(number, outcome, *path); });
  log_->pause_everysec(server_.config.no_appendfsync_on_rewrite);
  return true;
}

void Durability::base_written(uint64_t number, const Result<void>& outcome, const std::string& path) {
  log_->pause_everysec(false);
  if (outcome) {
    log_->adopt_base(number, path);
  } else {
    server_.log.warning("The base of the append-only file could not be written: {}", outcome.error().text);
    log_->abandon_rewrite(number, was_given_up(outcome) ? std::nullopt : std::optional(outcome.error()));
  }
  follow_rewrite();
}

/// The log says what has become of a rewrite: it may also have been lost on the way, because the disk failed.
void Durability::follow_rewrite() {
  if (!rewrite_ || log_->rewrite() == rewrite_) return;
  const int64_t now_us = server_.clock.now().mono_us;
  const bool adopted = log_->rewrites_done() > rewrites_adopted_;
  rewrites_adopted_ = log_->rewrites_done();
  rewrite_.reset();
  if (saving_.running()) saving_.abort("the append-only file has failed meanwhile");
  outcomes_.last_rewrite_took_s = (now_us - rewrite_since_us_) / 1'000'000;
  outcomes_.last_rewrite_ok = adopted;
  if (adopted) {
    ++outcomes_.rewrites;
    outcomes_.rewrite_failures = 0;
    server_.log.notice("Background AOF rewrite finished successfully");
  } else {
    ++outcomes_.rewrite_failures;
    not_before_us_ = now_us + kRetryUs;
    server_.log.warning("Background AOF rewrite failed: {}", log_->rewrite_error() ? log_->rewrite_error()->text : "given up");
  }
}

bool Durability::rewrite_is_due() const {
  if (!log_ || rewrite_ || saving_.running() || server_.clock.now().mono_us < not_before_us_) return false;
  if (rewrite_scheduled_ || log_->needs_new_base()) return true;
  const Config& config = server_.config;
  const uint64_t size = log_->size();
  if (config.auto_aof_rewrite_percentage == 0 || size < static_cast<uint64_t>(config.auto_aof_rewrite_min_size)) return false;
  const uint64_t base = std::max<uint64_t>(log_->base_size(), 1);
  return size >= base && (size - base) * 100 / base >= static_cast<uint64_t>(config.auto_aof_rewrite_percentage);
}

bool Durability::alike(int a, int b) const {
  const DatabaseConfig& one = server_.config.database[static_cast<size_t>(a)];
  const DatabaseConfig& other = server_.config.database[static_cast<size_t>(b)];
  return one.appendonly == other.appendonly && (!one.appendonly || one.appendfsync == other.appendfsync);
}

bool Durability::snapshots_fail() const {
  return !outcomes_.last_save_ok && server_.config.stop_writes_on_bgsave_error && saves_by_rule();
}

const std::string* Durability::refusal(int database) {
  if (!refuses()) return nullptr;
  if (log_ && log_->failure() && log_->logs(database)) {
    refusal_ = "MISCONF Errors writing to the AOF file: " + log_->failure()->text;
    return &refusal_;
  }
  if (snapshots_fail() && saves_by_rule(database)) {
    refusal_ =
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may "
        "modify the data set are disabled, because this instance is configured to report errors during writes if RDB "
        "snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.";
    return &refusal_;
  }
  return nullptr;
}

// --- Snapshots --------------------------------------------------------------------------------------------------------

bool Durability::is_kept(int database) const {
  const DatabaseConfig& config = server_.config.database[static_cast<size_t>(database)];
  return config.appendonly || !config.overrides("appendonly");
}

std::vector<storage::Keyspace*> Durability::kept_databases() const {
  std::vector<storage::Keyspace*> kept;
  for (const auto& database : server_.databases)
    if (is_kept(database->index())) kept.push_back(database.get());
  return kept;
}

std::unique_ptr<SnapshotFile> Durability::snapshot_file(const std::string& directory) {
  return std::make_unique<SnapshotFile>(disk_, directory, fmt::format("{}{}{}", kTemporaryPrefix, ++temporary_files_, kTemporarySuffix), server_.config.rdbchecksum);
}

void Durability::save_in_background() {
  assert(!server_.feed.in_unit());
  save_scheduled_ = false;
  save_ticket_ = saves_wanted_;
  saving_since_us_ = server_.clock.now().mono_us;
  server_.log.notice("Background saving started");
  saving_.begin(
      kept_databases(), Facts(server_, false), snapshot_file(server_.config.dir),
      [name = server_.config.dbfilename](SnapshotFile& file) { return file.publish(name); },
      [this, saved = unsaved(), ticket = save_ticket_](const Result<void>& outcome) {
        outcomes_.last_save_took_s = (server_.clock.now().mono_us - saving_since_us_) / 1'000'000;
        // Who sends SAVE is told of its failure, and nobody else has to be.
        if (!outcome && !was_given_up(outcome)) outcomes_.last_save_ok = false;
        save_done(outcome, saved, ticket);
        if (outcome && saves_ended_ < saves_wanted_) save_in_background();
      });
}

std::string Durability::save_file_name(int database) const {
  return fmt::format("{}-{}", server_.database_name(database), server_.config.dbfilename);
}

void Durability::save_in_background(int database) {
  assert(!server_.feed.in_unit());
  databases_to_save_.erase(database);
  saving_since_us_ = server_.clock.now().mono_us;
  const std::string file_name = save_file_name(database);
  storage::Keyspace* const databases[] = {&server_.database(database)};
  server_.log.notice("Background saving of one database to {} started", file_name);
  saving_.begin(
      databases, Facts(server_, false), snapshot_file(server_.config.dir),
      [file_name](SnapshotFile& file) { return file.publish(file_name); },
      [this, file_name](const Result<void>& outcome) {
        if (outcome) return server_.log.notice("{} saved on disk", file_name);
        server_.log.warning("{} could not be saved: {}", file_name, outcome.error().text);
      });
}

uint64_t Durability::save_flushed() {
  if (loading_ || !saves_by_rule()) return 0;
  ++saves_wanted_;
  server_.feed.between_units([this] {
    // One that was begun for another FLUSHALL comes to its end, so that clients who flush again and again hear of theirs.
    if (saving_.running() && save_ticket_ > saves_ended_) return;
    make_way("FLUSHALL goes first");
    // While a base is being adopted, the tick after that begins it.
    if (!rewriting()) save_in_background();
  });
  return saves_wanted_;
}

void Durability::make_way(std::string_view why) {
  if (!saving_.running()) return;
  // The keyspaces are in one snapshot at a time. A rewrite begins again later.
  const bool rewrites = rewriting();
  saving_.abort(why);
  if (!rewrites) return;
  rewrite_scheduled_ = true;
  not_before_us_ = 0;
}

Result<void> Durability::save() {
  make_way("SAVE goes first");
  const std::vector<uint64_t> saved = unsaved();
  saving_since_us_ = server_.clock.now().mono_us;
  const auto file = snapshot_file(server_.config.dir);
  const Result<void> outcome = saving_.run(kept_databases(), Facts(server_, false), *file, [&](SnapshotFile& finished) {
    return finished.publish(server_.config.dbfilename);
  });
  save_done(outcome, saved, saves_wanted_);
  return outcome;
}

bool Durability::saves_by_rule(int database) const {
  return is_kept(database) && !server_.config.database[static_cast<size_t>(database)].save_rules.empty();
}

bool Durability::saves_by_rule() const {
  return std::any_of(server_.databases.begin(), server_.databases.end(), [this](const auto& db) { return saves_by_rule(db->index()); });
}

std::vector<uint64_t> Durability::unsaved() const {
  std::vector<uint64_t> changes;
  for (const DatabaseStatistics& database : server_.stats.databases) changes.push_back(database.dirty);
  return changes;
}

void Durability::save_done(const Result<void>& outcome, const std::vector<uint64_t>& saved, uint64_t ticket) {
  const Time now = server_.clock.now();
  if (was_given_up(outcome)) return server_.log.notice("The snapshot is given up: {}", outcome.error().text);
  if (ticket > saves_ended_) {
    saves_ended_ = ticket;
    server_.release_held();
  }
  if (outcome) {
    outcomes_.last_save_ok = true;
    for (size_t i = 0; i < saved.size(); ++i) {
      uint64_t& dirty = server_.stats.databases[i].dirty;
      dirty -= std::min(saved[i], dirty);
    }
    outcomes_.last_save_s = now.wall_us / 1'000'000;
    ++outcomes_.saves;
    server_.log.notice("DB saved on disk");
  } else {
    not_before_us_ = now.mono_us + kRetryUs;
    server_.log.warning("The snapshot could not be saved: {}", outcome.error().text);
  }
}

bool Durability::save_is_due() const {
  const Time now = server_.clock.now();
  if (saving_.running() || rewrite_ || now.mono_us < not_before_us_) return false;
  // While writes are refused because a snapshot failed, there are no changes that could ask for the next one.
  if (save_scheduled_ || saves_ended_ < saves_wanted_ || (!outcomes_.last_save_ok && saves_by_rule())) return true;
  const int64_t since = now.wall_us / 1'000'000 - outcomes_.last_save_s;
  const auto are_due = [&](const std::vector<SaveRule>& rules, uint64_t changes) {
    return std::any_of(rules.begin(), rules.end(),
                       [&](const SaveRule& rule) { return changes >= static_cast<uint64_t>(rule.changes) && since > rule.seconds; });
  };
  // A database with rules of its own goes by these, the others by the common rules, together. What no snapshot holds asks for none.
  uint64_t common = 0;
  for (const auto& db : server_.databases) {
    if (!is_kept(db->index())) continue;
    const DatabaseConfig& settings = server_.config.database[static_cast<size_t>(db->index())];
    const uint64_t changes = server_.stats.database(db->index()).dirty;
    if (!settings.overrides("save")) {
      common += changes;
    } else if (are_due(settings.save_rules, changes)) {
      return true;
    }
  }
  return are_due(server_.config.save_rules, common);
}

bool Durability::tick() {
  if (shutdown_) shutdown_step();
  // A snapshot begins when no command in slices is in the middle of its changes.
  const bool due = rewrite_is_due() || save_is_due();
  server_.long_commands.hold_writers_back(due && server_.long_commands.writing());
  if (server_.long_commands.writing()) return saving_.running();
  // Rewrites first: without a base nothing becomes durable any more.
  if (rewrite_is_due()) rewrite();
  if (save_is_due()) save_in_background();
  if (!databases_to_save_.empty() && !saving_.running() && !rewrite_) save_in_background(*databases_to_save_.begin());
  return saving_.running();
}

}  // namespace quartet::server
