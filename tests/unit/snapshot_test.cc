#include "persistence/snapshot.h"

#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "keyspace_history.h"
#include "rdb_fixture.h"

using namespace quartet;
using namespace quartet::storage;
using persistence::Snapshot;

namespace {

constexpr int kKeyspaces = test::KeyspaceHistory::kKeyspaces;

/// Loads an RDB file without its checksum, and returns how many entries it has.
uint64_t load(std::string file, test::Databases& databases) {
  file.append(8, '\0');
  persistence::RdbInput in{std::string_view(file)};
  persistence::RdbReader reader(in, databases, {});
  const auto progress = reader.step(UINT64_MAX);
  if (in.error()) FAIL(in.error()->text << " at " << in.error()->offset);
  REQUIRE(progress == persistence::RdbReader::Progress::Done);
  return reader.loaded();
}

/// A snapshot of some of the keyspaces of a history, and what it should hold.
struct Taking {
  Taking(test::KeyspaceHistory& history, Random& random) {
    const uint64_t wanted = 1 + random.below((1 << kKeyspaces) - 1);
    std::vector<Keyspace*> keyspaces;
    for (int i = 0; i < kKeyspaces; ++i) {
      if (!(wanted >> i & 1)) continue;
      keyspaces.push_back(&history.keyspace(i));
      const auto dump = history.dump(history.keyspace(i));
      entries += dump.size();
      if (!dump.empty()) expected[i] = dump;
    }
    const Snapshot::Bounds bounds{.large_bytes = test::KeyspaceHistory::kLargeBytes, .chunk_bytes = 1000, .chunks = 4};
    snapshot.emplace(keyspaces, Snapshot::Facts{}, random.below(2) == 0, bounds);
    REQUIRE(snapshot->entries() == entries);
  }
  void check(test::KeyspaceHistory& history) {
    REQUIRE(snapshot->entries_written() == entries);
    REQUIRE(snapshot->bytes() == file.size());
    REQUIRE(!snapshot->take());
    test::Databases loaded;
    REQUIRE(load(file, loaded) == entries);
    std::map<int, test::KeyspaceHistory::Dump> dumps;
    for (const auto& each : loaded.keyspaces)
      if (each->size() > 0) dumps[each->index()] = history.dump(*each);
    REQUIRE(dumps == expected);
  }
  void take(uint64_t chunks) {
    for (; chunks > 0; --chunks)
      if (auto chunk = snapshot->take()) file += *chunk;
  }

  std::map<int, test::KeyspaceHistory::Dump> expected;
  size_t entries = 0;
  std::optional<Snapshot> snapshot;
  std::string file;
};

void run_history(uint64_t seed) {
  CAPTURE(seed);
  Random random(seed);
  test::KeyspaceHistory history(seed);
  for (size_t i = random.below(400); i > 0; --i) history.step();
  for (int round = 0; round < 3; ++round) {
    Taking taking(history, random);
    Snapshot& snapshot = *taking.snapshot;
    const uint64_t changes = random.below(30), budget = 1 + random.below(2000), gives_up = random.below(200);
    for (uint64_t turn = 0;; ++turn) {
      for (uint64_t n = random.below(changes + 1); n > 0; --n) history.step();
      if (random.below(4) == 0) {
        // As the dispatcher asks before a command that wants to change a large entry.
        Keyspace& db = history.keyspace(static_cast<int>(random.below(kKeyspaces)));
        if (Entry* entry = db.random(random); entry && snapshot.must_wait(db, entry) && random.below(2)) {
          const uint64_t before = snapshot.large_written();
          while (snapshot.must_wait(db, entry)) {
            snapshot.step(100);
            taking.take(4);
          }
          REQUIRE(snapshot.large_written() > before);
        }
      }
      const auto state = snapshot.step(budget);
      taking.take(random.below(3));
      if (state == Snapshot::State::Done) {
        taking.take(UINT32_MAX & (snapshot.waiting_bytes() / 500 + 2));
        taking.check(history);
        break;
      }
      if (turn == gives_up) break;
    }
  }
  history.check_account();
}

}  // namespace

TEST_CASE("a snapshot is an RDB file with what was there at the beginning", "[snapshot]") {
  const uint64_t seed = test::history_seed();
  for (uint64_t i = 0; i < 60; ++i) run_history(seed + i);
}

TEST_CASE("a snapshot whose chunks nobody takes does not grow, but for what is changed", "[snapshot]") {
  test::Observer observer;
  Keyspace keyspace(0, observer);
  for (int i = 0; i < 3000; ++i) StringValue::assign(keyspace, nullptr, "key" + std::to_string(i), std::string(100, 'x'));
  Keyspace* const keyspaces[] = {&keyspace};
  Snapshot snapshot(keyspaces, {}, false, {.chunk_bytes = 1000, .chunks = 4});
  REQUIRE(snapshot.step(SIZE_MAX) == Snapshot::State::Full);
  const size_t waiting = snapshot.waiting_bytes();
  CHECK(waiting < 6000);
  REQUIRE(snapshot.step(SIZE_MAX) == Snapshot::State::Full);
  CHECK(snapshot.waiting_bytes() == waiting);
  keyspace.clear();
  CHECK(snapshot.waiting_bytes() == waiting);
  CHECK(observer.reclaimed == 0);
  while (snapshot.step(1000) != Snapshot::State::Done) {
    REQUIRE(snapshot.take());
  }
  CHECK(snapshot.entries_written() == 3000);
  CHECK(observer.reclaimed == 1);
}

TEST_CASE("a large value that nobody changes is written in slices; one that is erased goes with the snapshot", "[snapshot]") {
  test::Observer observer;
  Keyspace keyspace(0, observer);
  SetValue set = SetValue::create(keyspace, "large");
  for (int i = 0; i < 50000; ++i) set.add("member" + std::to_string(i));
  StringValue::assign(keyspace, nullptr, "string", std::string(1000000, 'x'));
  Keyspace* const keyspaces[] = {&keyspace};
  Snapshot snapshot(keyspaces, {}, false);
  Entry* large = keyspace.find_raw("large");
  REQUIRE(snapshot.must_wait(keyspace, large));
  snapshot.step(1000);
  CHECK(snapshot.waiting_bytes() < 3000);
  REQUIRE(snapshot.must_wait(keyspace, large));
  keyspace.erase(large);
  StringValue::assign(keyspace, keyspace.find_raw("string"), "string", "short");
  CHECK(keyspace.memory() == test::memory_by_counting(keyspace));
  CHECK(snapshot.waiting_bytes() < 3000);
  CHECK(observer.reclaimed == 0);
  std::string file;
  while (snapshot.step(10000) != Snapshot::State::Done) {
  }
  while (auto chunk = snapshot.take()) file += *chunk;
  // The set, and the string that was replaced.
  CHECK(observer.reclaimed == 2);
  test::Databases loaded;
  CHECK(load(file, loaded) == 2);
  CHECK(length_of(*loaded[0].find_raw("large")) == 50000);
}
