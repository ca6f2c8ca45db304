#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client.h"
#include "contents.h"
#include "late_background.h"
#include "simulated_disk.h"
#include "workload.h"

namespace quartet::test {

/// One seeded history of a server with several databases of different policies on a disk that fails: some lives, each from a
/// start to a power cut, a kill or SHUTDOWN, and after each a look at what the next start finds.
///
/// The history is the row of effects that left the server, of all databases. What is found has to be what the databases that
/// were logged held behind some effect of it (one and the same for all of them, never within a unit), and that effect must not
/// precede anything that was promised: a write into a database under `always` whose reply, or any later reply about that
/// database, was received; what `everysec` had a second for; all there was at the end of SHUTDOWN.
class Simulation {
 public:
  Simulation(uint64_t seed, bool verbose);
  ~Simulation();

  /// What was violated, or nothing.
  std::string run();
  /// What was done, for a summary of all runs.
  struct Counts {
    uint64_t lives = 0, effects = 0, power_cuts = 0, promises = 0, rewrites = 0, saves = 0, refusals = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  struct Core;

  enum class Policy { Always, Everysec, No };
  /// Private: its own settings say that it is not to be kept. Plain: the defaults do, so that snapshots hold it.
  enum class Role { Logged, Private, Plain };
  struct Setting {
    Role role;
    Policy policy;
  };
  struct Happened {
    int database;
    std::vector<std::string> arguments;
    int64_t time_us;
    bool always, everysec;  // the policy that it happened under, where it was logged
    size_t era;
    bool ends_unit;
    uint64_t position;  // of the log behind its unit
  };
  /// From a change of the set of logged databases to the next: the files are one row of increments.
  struct Era {
    size_t begin;
    std::vector<bool> logged;
    bool has_log;
    bool adopted;  // its files are the ones that a start finds
    uint64_t rewrites_before;  // of the log, when it began
    bool goes_on;              // in the files of the era before, from which a database has left
    Contents left;             // what the files hold of databases that are not logged any more, until they are rewritten
  };
  /// A snapshot that may be the one that a start finds: of some place of the history, or of an earlier life.
  struct Dump {
    size_t first, last;
    bool elsewhere;  // in a directory that no start looks into
    std::vector<bool> kept;
    std::vector<Contents> contents;
  };
  class Recorder;

  void demand(bool holds, const std::string& what) {
    if (!holds && problem_.empty()) problem_ = what;
  }
  bool chance(uint64_t in_100) { return random_.below(100) < in_100; }
  bool logged(int database) const { return setting_[static_cast<size_t>(database)].role == Role::Logged; }
  bool any_logged() const;
  bool ended() const;

  void choose_settings();
  void choose_faults();
  void live();
  // The start of a life
  std::vector<std::string> arguments() const;
  [[nodiscard]] bool start();
  bool start_once(bool may_fail);
  void begin_life();
  // Turns
  void turn();
  void act(Client& client);
  void send(Client& client, const std::vector<Workload::Command>& commands);
  static std::vector<int> told_of(const std::vector<Workload::Command>& commands, int database);
  void settle(Client* sender, const std::vector<int>& told, size_t before, bool one_command);
  void tick();
  void pass(int64_t us);
  void observe();
  void administer();
  struct Ordered {
    std::string reply;
    bool in_transaction;
  };
  Ordered order(const Workload::Command& command);
  void note_snapshot(size_t first);
  void snapshot_began(size_t first, size_t last);
  void receive();
  void check_durable(size_t bound);
  void heal();
  void check_model();
  // What a start finds
  void expect_after_end();
  void match();
  bool matches_files(const Contents& found);
  bool matches(const Era& era, const Contents& found);
  bool matches_dump(const Contents& found);
  void materialise_dumps();
  std::string step_model(size_t& at);
  static bool tells_of(const Happened& happened, int database);
  void search_for_secret();

  const bool verbose_;
  Random random_;
  SimulatedDisk disk_;
  int64_t wall_us_ = 1'700'000'000'000'000, mono_us_ = 1'000'000;
  std::vector<Setting> setting_;
  int secret_ = -1;
  int expiring_ = -1;              // the database with a default-ttl, -1: none
  bool toggles_ = false, may_kill_ = false, faults_ = false, had_faults_ = false, secret_saved_ = false, pauses_everysec_ = false;
  int64_t step_us_ = 1, delay_us_ = 3000, sync_us_ = 0;
  std::string save_rules_;
  std::unique_ptr<Workload> workload_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Core> core_;

  // Of the present life
  std::vector<Happened> history_;
  std::vector<Era> eras_;
  std::vector<Dump> dumps_;        // the oldest first; any of them may be found
  bool may_have_no_dump_ = true;
  uint64_t saves_seen_ = 0;
  int64_t saving_seen_us_ = 0;  // when the last snapshot or rewrite began that was noted
  bool loaded_from_files_ = false;  // there was a manifest
  size_t promised_ = 0;            // so many effects have to be found
  std::string promised_by_;
  size_t everysec_since_ = 0;      // effects before it were in the files at the start or precede the first base
  size_t model_at_ = 0;
  int64_t next_tick_us_ = 0;
  bool forced_ = false;            // SHUTDOWN FORCE was said
  bool elsewhere_ = false;         // `dir` is not where the files are
  int ports_ = 0;
  std::string problem_;
  Counts counts_;
};

}  // namespace quartet::test
