// Seeded histories of effects over databases with different policies, on a disk that fails and loses power: what the
// log reported as durable has to be there afterwards, in order, with whole units, and nothing of an unlogged database.

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/numbers.h"
#include "base/random.h"
#include "persistence/aof_log.h"
#include "persistence/aof_reader.h"
#include "persistence/aof_tail.h"
#include "simulated_disk.h"

using namespace quartet;
using namespace quartet::persistence;
using test::SimulatedDisk;

namespace {

constexpr int kDatabases = 4;
constexpr int kUnlogged = 3;
const std::string kDirectory = "data/aof";
const std::string kFile = "appendonly.aof";
constexpr std::string_view kSecret = "never-on-disk";

/// A logged effect, known by its place in the history.
struct Happened {
  int database;
  uint64_t position = 0;  // in the present log, behind its unit
  int64_t time_us = 0;
  bool everysec = false;
  bool ends_unit = true;
};

class Simulation {
 public:
  explicit Simulation(uint64_t seed) : random_(seed), disk_(random_.next()) {}

  /// What was violated, or nothing.
  std::string run() {
    if (!disk_.make_directory("data") || !disk_.make_directory(kDirectory) || !disk_.sync_directory("data") ||
        !disk_.sync_directory("")) {
      return "no directory";
    }
    const uint64_t lives = 1 + random_.below(4);
    for (uint64_t life = 0; life < lives && problem_.empty(); ++life) live();
    if (problem_.empty()) recover();
    return problem_;
  }

 private:
  void demand(bool holds, const std::string& what) {
    if (!holds && problem_.empty()) problem_ = what;
  }
  bool chance(uint64_t in_100) { return random_.below(100) < in_100; }

  /// From a start to a power cut or a kill.
  void live() {
    recover();
    if (!problem_.empty()) return;
    const bool may_kill = chance(50);
    set_faults(may_kill);
    if (!may_kill || chance(50)) disk_.cut_power_at_call(1 + random_.below(250));
    const uint64_t turns = 1 + random_.below(120);
    for (uint64_t turn = 0; turn < turns && disk_.has_power() && problem_.empty(); ++turn) {
      if (chance(3)) set_faults(may_kill);
      this->turn();
    }
    if (disk_.has_power() && chance(40)) heal();
    if (disk_.has_power() && !may_kill) disk_.cut_power();
    note_durable();
    job_.reset();
    log_.reset();
  }

  void set_faults(bool may_kill) {
    SimulatedDisk::Rates rates;
    if (chance(60)) {
      rates.append = static_cast<int>(random_.below(200));
      rates.short_append = static_cast<int>(random_.below(500));
      rates.sync = chance(50) ? static_cast<int>(random_.below(100)) : 0;
      rates.names = static_cast<int>(random_.below(100));
      rates.sync_directory = static_cast<int>(random_.below(100));
      rates.read = static_cast<int>(random_.below(100));
      // A file that could neither be synced nor cut shows more to the next process than is on disk.
      rates.truncate = may_kill ? 0 : static_cast<int>(random_.below(300));
    }
    disk_.set_rates(rates);
    disk_.set_sync_us(chance(20) ? 3'000'000 : 20'000);
  }

  void turn() {
    now_us_ += static_cast<int64_t>(random_.below(chance(80) ? 5'000 : 700'000));
    const uint64_t changes = random_.below(6);
    for (uint64_t i = 0; i < changes; ++i) change();
    if (chance(5)) log_->request_sync();
    if (chance(3)) set_policy(static_cast<int>(random_.below(kUnlogged)));
    if (job_ && now_us_ >= job_done_us_) end_job();
    rewrite();
    if (!job_) begin_job();
    check_policies();
  }

  void begin_job() {
    job_ = log_->take_job(now_us_);
    if (!job_) return;
    job_->run();
    job_done_us_ = now_us_ + disk_.take_elapsed_us();
  }

  void end_job() {
    // Without power nobody is there to hear of it.
    if (!disk_.has_power()) return;
    log_->completed(std::move(job_), now_us_);
    note_durable();
  }

  void set_policy(int database) {
    policies_[database] = static_cast<FsyncPolicy>(random_.below(3));
    log_->set_database(database, true, policies_[database]);
  }

  void change() {
    if (chance(70)) {
      effect(static_cast<int>(random_.below(kDatabases)));
      return;
    }
    log_->begin_unit();
    const size_t begin = history_.size();
    const uint64_t count = 1 + random_.below(4);
    for (uint64_t i = 0; i < count; ++i) effect(static_cast<int>(random_.below(kDatabases)));
    log_->end_unit();
    for (size_t i = begin; i < history_.size(); ++i) {
      history_[i].position = log_->position();
      history_[i].ends_unit = i + 1 == history_.size();
    }
  }

  void effect(int database) {
    const std::string value(random_.below(chance(3) ? 20'000 : 40), static_cast<char>('a' + random_.below(26)));
    const std::string id = std::to_string(history_.size());
    const std::string_view arguments[] = {"SET", database == kUnlogged ? kSecret : "key", value, id};
    log_->append({database, arguments});
    if (database != kUnlogged) {
      history_.push_back({database, log_->position(), now_us_, policies_[database] == FsyncPolicy::Everysec});
    }
  }

  /// The snapshot of a rewrite is the number of effects that it holds.
  void rewrite() {
    if (!log_->rewrite()) {
      if (!log_->needs_new_base() && !chance(3)) return;
      rewrite_ = log_->switch_file();
      snapshot_ = history_.size();
      return;
    }
    if (log_->rewrite() != rewrite_ || !chance(30)) return;
    if (chance(10) && !adopting_) return log_->abandon_rewrite(*rewrite_);
    if (adopting_ == rewrite_) return;
    const std::string path = "data/temp-base";
    if (write_base(path)) {
      log_->adopt_base(*rewrite_, path);
      adopting_ = rewrite_;
    } else if (disk_.has_power()) {
      log_->abandon_rewrite(*rewrite_);
    }
  }

  bool write_base(const std::string& path) {
    Result<std::unique_ptr<File>> file = disk_.create(path);
    return file && append_all(**file, fmt::format("BASE {}", snapshot_)) && (*file)->sync();
  }

  void note_durable() {
    demand(log_->durable() <= log_->written(), "durable before it is written");
    size_t durable = first_of_log_;
    while (durable < history_.size() && history_[durable].position <= log_->durable()) ++durable;
    durable_ = std::max(durable_, durable);
  }

  /// Where no job is to be had, each database has what its policy promises.
  void check_policies() {
    if (job_ || log_->failure() || log_->needs_new_base() || log_->rewrite() || !disk_.has_power()) return;
    demand(log_->written() == log_->position(), "no job though there is something to write");
    for (int database = 0; database < kUnlogged; ++database) {
      demand(log_->last_always(database) <= log_->durable(), "no job though `always` is not durable");
    }
    for (size_t i = std::max(durable_, first_of_log_); i < history_.size(); ++i) {
      if (!history_[i].everysec) continue;
      demand(now_us_ - history_[i].time_us < 1'000'000, "no job though `everysec` is over a second behind");
      break;
    }
  }

  /// Without further faults everything becomes durable.
  void heal() {
    disk_.set_rates({});
    for (int turns = 0; turns < 400 && disk_.has_power(); ++turns) {
      log_->request_sync();
      now_us_ += 500'000;
      if (job_ && now_us_ >= job_done_us_) end_job();
      rewrite();
      if (!job_) begin_job();
      if (!job_ && !log_->failure() && !log_->needs_new_base() && log_->durable() == log_->position()) return;
    }
    demand(!disk_.has_power(), fmt::format("the log does not recover: {}",
                                           log_->failure() ? log_->failure()->text : std::string("no failure")));
  }

  // -- after a restart

  void recover() {
    disk_.restart();
    disk_.set_rates({});
    disk_.set_sync_us(0);
    // The power may go during recovery too.
    for (int cuts = 0; cuts < 3 && chance(20); ++cuts) {
      disk_.cut_power_at_call(1 + random_.below(25));
      load();
      if (!problem_.empty()) return;
      disk_.cut_power();
      disk_.restart();
    }
    load();
  }

  void load() {
    const Result<Manifest> manifest = read_manifest(disk_, kDirectory, kFile);
    if (!disk_.has_power()) return;
    demand(static_cast<bool>(manifest), manifest ? "" : "manifest: " + manifest.error().text);
    if (!manifest) return;
    size_t count = 0;
    uint64_t size = 0, base_size = 0;
    if (manifest->base) {
      const Result<std::string> base = read_whole(disk_, kDirectory + "/" + manifest->base->name, 100);
      if (!disk_.has_power()) return;
      demand(base && base->starts_with("BASE "), "the base is not whole");
      if (!base || !problem_.empty()) return;
      count = static_cast<size_t>(*parse_int(std::string_view(*base).substr(5)));
      size = base_size = base->size();
    }
    std::optional<uint64_t> last_end;
    for (const Manifest::Entry& entry : manifest->increments) {
      const bool last = entry == manifest->increments.back();
      uint64_t end = 0;
      const bool continues = load_increment(entry.name, last, count, end);
      if (!problem_.empty() || !disk_.has_power()) return;
      size += end;
      if (last && continues && chance(50)) last_end = end;
      if (last && (!cut_tail(disk_, kDirectory, entry.name, end) || !disk_.has_power())) return;
    }
    demand(count >= durable_, fmt::format("{} effects of {} that were durable", count, durable_));
    demand(count <= history_.size(), "more effects than happened");
    if (!problem_.empty()) return;
    demand(count == 0 || history_[count - 1].ends_unit, "half a unit");
    history_.resize(count);
    search_for_secret(*manifest);
    begin_log(*manifest, size, base_size, last_end);
  }

  bool load_increment(const std::string& name, bool last, size_t& count, uint64_t& end) {
    Result<std::unique_ptr<File>> file = disk_.open_read(kDirectory + "/" + name);
    if (!disk_.has_power()) return false;
    demand(static_cast<bool>(file), name + " is missing");
    if (!file) return false;
    AofReader reader(**file, [&](const Effect& effect) -> Result<void> {
      if (effect.arguments.size() != 4 || effect.arguments[3] != std::to_string(count) || count >= history_.size() ||
          history_[count].database != effect.database) {
        return Error{fmt::format("not effect {}", count)};
      }
      ++count;
      return {};
    });
    AofReader::Status status;
    do {
      status = reader.step(1000);
    } while (status == AofReader::Status::More);
    if (!disk_.has_power()) return false;
    demand(status == AofReader::Status::Done || (last && status == AofReader::Status::Torn),
           fmt::format("{} at {} of {}: {}", name, reader.offset(), reader.size(), reader.reason()));
    end = reader.offset();
    return status == AofReader::Status::Done && reader.ends_with_batch();
  }

  void search_for_secret(const Manifest& manifest) {
    for (const Manifest::Entry& entry : manifest.increments) {
      const std::string* content = disk_.content(kDirectory + "/" + entry.name);
      demand(content && content->find(kSecret) == std::string::npos, "a byte of an unlogged database");
    }
  }

  void begin_log(const Manifest& manifest, uint64_t size, uint64_t base_size, std::optional<uint64_t> last_end) {
    log_ = std::make_unique<AofLog>(disk_, kDirectory, kFile, kDatabases);
    for (int database = 0; database < kUnlogged; ++database) set_policy(database);
    if (!manifest.empty()) log_->resume(manifest, size, base_size, last_end);
    first_of_log_ = history_.size();
    rewrite_.reset();
    adopting_.reset();
  }

  Random random_;
  SimulatedDisk disk_;
  std::unique_ptr<AofLog> log_;
  FsyncPolicy policies_[kDatabases] = {};
  std::unique_ptr<AofJob> job_;
  int64_t job_done_us_ = 0;
  int64_t now_us_ = 1'000'000;
  std::vector<Happened> history_;
  size_t first_of_log_ = 0;  // what the present log did not write itself
  size_t durable_ = 0;       // effects that were ever reported durable
  size_t snapshot_ = 0;
  std::optional<uint64_t> rewrite_, adopting_;
  std::string problem_;
};

}  // namespace

TEST_CASE("what the log reports as durable survives faults and power cuts", "[aof][simulation]") {
  // QUARTET_AOF_SEED replays one history, QUARTET_AOF_RUNS says how many.
  const char* seed_text = std::getenv("QUARTET_AOF_SEED");
  const char* runs_text = std::getenv("QUARTET_AOF_RUNS");
  const uint64_t first = seed_text ? std::strtoull(seed_text, nullptr, 10) : entropy() >> 1;
  const uint64_t runs = seed_text ? 1 : runs_text ? std::strtoull(runs_text, nullptr, 10) : 1500;
  for (uint64_t seed = first; seed < first + runs; ++seed) {
    const std::string problem = Simulation(seed).run();
    if (problem.empty()) continue;
    FAIL("QUARTET_AOF_SEED=" << seed << ": " << problem);
  }
  SUCCEED(runs << " histories from seed " << first);
}
