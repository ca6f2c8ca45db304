#include "storage/snapshot_walk.h"

#include <catch2/catch.hpp>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "keyspace_history.h"

using namespace quartet;
using namespace quartet::storage;

namespace {

/// Writes down what a snapshot is given: of large entries half, and the rest when it likes.
class Recorder final : public SnapshotSink {
 public:
  explicit Recorder(test::KeyspaceHistory& history) : history_(history) {}
  ~Recorder() override {
    for (const Large& large : large_) large.kept ? large.walk->discard(large.entry) : SnapshotWalk::forget(large.entry);
  }

  void save(int database, const Entry& entry) override { note(database, entry); }
  void postpone(SnapshotWalk& walk, Entry* entry) override {
    REQUIRE(walk.is_large(*entry));
    REQUIRE(!walk.saved(*entry));
    large_.push_back({&walk, entry, history_.describe(*entry), false});
  }
  void finish(Entry* entry) override {
    const auto at = find(entry);
    REQUIRE(history_.describe(*entry) == at->begun);
    note(at->walk->database(), *entry);
    large_.erase(at);
  }
  void keep(SnapshotWalk& walk, Entry* entry) override {
    const auto at = find(entry);
    if (at != large_.end()) {
      REQUIRE(SnapshotWalk::postponed(*entry));
      at->kept = true;
    } else {
      large_.push_back({&walk, entry, history_.describe(*entry), true});
    }
  }
  void write_one() {
    const Large large = large_.front();
    large_.pop_front();
    REQUIRE(history_.describe(*large.entry) == large.begun);
    note(large.walk->database(), *large.entry);
    large.kept ? large.walk->discard(large.entry) : large.walk->written(large.entry);
  }

  bool busy() const { return !large_.empty(); }
  std::map<int, test::KeyspaceHistory::Dump> written;

 private:
  struct Large {
    SnapshotWalk* walk;
    Entry* entry;
    std::string begun;
    bool kept;
  };
  std::list<Large>::iterator find(Entry* entry) {
    return std::find_if(large_.begin(), large_.end(), [&](const Large& large) { return large.entry == entry; });
  }
  void note(int database, const Entry& entry) {
    const bool once = written[database].emplace(entry.key(), history_.describe(entry)).second;
    REQUIRE(once);
  }

  test::KeyspaceHistory& history_;
  std::list<Large> large_;
};

/// One snapshot of some of the keyspaces of a history.
struct Taking {
  Taking(test::KeyspaceHistory& history, Random& random) : recorder(history) {
    const uint64_t wanted = 1 + random.below((1 << test::KeyspaceHistory::kKeyspaces) - 1);
    for (int i = 0; i < test::KeyspaceHistory::kKeyspaces; ++i) {
      if (!(wanted >> i & 1)) continue;
      const auto dump = history.dump(history.keyspace(i));
      if (!dump.empty()) expected[i] = dump;
      walks.push_back(std::make_unique<SnapshotWalk>(history.keyspace(i), recorder, test::KeyspaceHistory::kLargeBytes));
    }
  }
  /// False at the end.
  bool step() {
    if (recorder.busy()) {
      recorder.write_one();
    } else if (turn == walks.size()) {
      return false;
    } else if (walks[turn]->through()) {
      walks[turn++].reset();
    } else {
      walks[turn]->step();
    }
    return true;
  }

  std::vector<std::unique_ptr<SnapshotWalk>> walks;  // outlive what the recorder still holds of them
  Recorder recorder;
  std::map<int, test::KeyspaceHistory::Dump> expected;
  size_t turn = 0;
};

void run_history(uint64_t seed) {
  CAPTURE(seed);
  Random random(seed);
  test::KeyspaceHistory history(seed);
  for (size_t i = random.below(400); i > 0; --i) history.step();
  std::optional<Taking> taking;
  size_t whole = 0;
  // Now the walk is faster, now the clients.
  for (int phase = 0; phase < 12; ++phase) {
    const uint64_t walks = random.below(30), changes = random.below(30);
    for (int i = 0; i < 40; ++i) {
      if (!taking) taking.emplace(history, random);
      for (uint64_t n = random.below(changes + 1); n > 0; --n) history.step();
      for (uint64_t n = random.below(walks + 1); n > 0 && taking; --n) {
        if (taking->step()) continue;
        REQUIRE(taking->recorder.written == taking->expected);
        taking.reset();
        ++whole;
      }
      if (taking && random.below(60) == 0) taking.reset();
      if (!taking && random.below(2)) history.clean_marks(random.below(50));
    }
  }
  while (taking && taking->step()) {
  }
  if (taking) REQUIRE(taking->recorder.written == taking->expected);
  taking.reset();
  history.check_account();
}

}  // namespace

TEST_CASE("a walk gives each entry as it was at the beginning, once, whatever happens meanwhile", "[snapshot]") {
  const uint64_t seed = test::history_seed();
  for (uint64_t i = 0; i < 60; ++i) run_history(seed + i);
}

TEST_CASE("walks given up do not confuse later ones, however many they are", "[snapshot]") {
  const uint64_t seed = test::history_seed();
  CAPTURE(seed);
  Random random(seed);
  test::KeyspaceHistory history(seed);
  for (int i = 0; i < 300; ++i) history.step();
  // More than once around the circle of marks, with marks of each left on entries that no walk passes.
  for (unsigned round = 0; round < 3 * SnapshotWalk::kMarks; ++round) {
    Taking taking(history, random);
    for (int i = 0; i < 20; ++i) history.step();
    if (round % 20 == 19) {
      while (taking.step()) {
      }
      REQUIRE(taking.recorder.written == taking.expected);
    }
  }
  Taking last(history, random);
  while (last.step()) history.step();
  REQUIRE(last.recorder.written == last.expected);
}

TEST_CASE("marks of a walk that was given up are removed in slices", "[snapshot]") {
  test::KeyspaceHistory history(1);
  Random random(1);
  for (int i = 0; i < 300; ++i) history.step();
  Keyspace& keyspace = history.keyspace(0);
  {
    Recorder recorder(history);
    SnapshotWalk walk(keyspace, recorder);
    keyspace.create("new", Type::String, Encoding::Int);
  }
  REQUIRE(keyspace.has_stale_marks());
  size_t slices = 0;
  for (; keyspace.has_stale_marks(); ++slices) keyspace.clean_marks(1);
  CHECK(slices > 1);
}
