// quartet --check: what is whole is called whole, damage is found at its offset, and fixing leaves every byte that was there.

#include "persistence/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "persistence/aof_log.h"
#include "persistence/check_file.h"
#include "rdb_fixture.h"
#include "simulated_disk.h"

using namespace quartet;
using namespace quartet::persistence;
using test::SimulatedDisk;

namespace {

using Words = std::vector<std::string_view>;

/// A data directory `d`: a base and two increments below `d/a`, and a snapshot of its own beside them.
struct House {
  SimulatedDisk disk{11};
  AofLog log{disk, "d/a", "f", 3};
  int64_t now_us = 0;
  std::vector<std::string> said;

  House() {
    REQUIRE(disk.make_directory("d"));
    REQUIRE(disk.make_directory("d/a"));
    for (int database = 0; database < 3; ++database) log.set_database(database, true, FsyncPolicy::Always);
    const uint64_t number = log.switch_file();
    REQUIRE(replace_file(disk, "d", "base", test::file_of(std::string("\x00\x01k\x01v", 5), true)));
    log.adopt_base(number, "d/base");
    flush();
    log.append({0, Words{"SET", "first", "1"}});
    flush();
    log.append({2, Words{"SET", "second", "2"}});
    log.begin_unit();
    log.append({0, Words{"SET", "third", "3"}});
    log.append({1, Words{"SET", "fourth", "4"}});
    log.end_unit();
    flush();
    log.switch_file();  // the rewrite ends nowhere: the manifest names two increments
    log.append({1, Words{"SET", "fifth", "5"}});
    flush();
    REQUIRE(replace_file(disk, "d", "dump.rdb", test::file_of(std::string("\x00\x01k\x01v", 5), true)));
    REQUIRE(log.durable() == log.position());
  }

  void flush() {
    now_us += 1'000'000;
    while (std::unique_ptr<AofJob> job = log.take_job(now_us)) {
      job->run();
      log.completed(std::move(job), now_us);
    }
  }

  CheckOutcome check(const std::string& path, bool fix = false) {
    said.clear();
    return persistence::check(disk, path, {.fix = fix}, [this](std::string_view line) { said.emplace_back(line); });
  }
  bool says(std::string_view text) const {
    return std::any_of(said.begin(), said.end(), [&](const std::string& line) { return line.find(text) != line.npos; });
  }
  std::map<std::string, std::string> files(const std::string& directory) {
    std::map<std::string, std::string> all;
    const Result<std::vector<std::string>> names = disk.list(directory);
    REQUIRE(names);
    for (const std::string& name : *names)
      if (name != "quartet.lock" && !disk.list(directory + "/" + name)) all[name] = *disk.content(directory + "/" + name);
    return all;
  }
};

const std::string kBase = "d/a/f.1.base.rdb", kFirst = "d/a/f.1.incr.aof", kSecond = "d/a/f.2.incr.aof";

}  // namespace

TEST_CASE("a whole data directory is called whole, with what is in it", "[check]") {
  House house;
  const auto before = house.files("d/a");
  CHECK(house.check("d", true) == CheckOutcome::Whole);
  CHECK(house.says("f.manifest: a base, 2 increments, 0 files of the past"));
  CHECK(house.says("dump.rdb: whole"));
  CHECK(house.says("database 0: 1 keys, 1 strings"));
  CHECK(house.says("4 commands, 1 units of MULTI and EXEC, 3 batches with checksums"));
  CHECK(house.says("database 2: 1 commands"));
  CHECK(house.files("d/a") == before);
  for (const std::string& path : {std::string("d/a"), std::string("d/a/f.manifest"), kBase, kFirst, kSecond}) {
    CHECK(house.check(path) == CheckOutcome::Whole);
  }
}

TEST_CASE("nothing to look at is not whole", "[check]") {
  House house;
  REQUIRE(house.disk.make_directory("empty"));
  CHECK(house.check("empty") == CheckOutcome::Unreadable);
  CHECK(house.check("d/nowhere") == CheckOutcome::Unreadable);
  house.disk.content("d/a/f.manifest")->append("nonsense\n");
  CHECK(house.check("d") == CheckOutcome::Damaged);
  CHECK(house.says("line 4 of the manifest"));
}

TEST_CASE("each file of a directory cut at each offset is found, and fixed where it can be", "[check]") {
  for (const std::string& path : {kBase, kFirst, kSecond}) {
    const size_t size = House().disk.content(path)->size();
    for (size_t cut = 0; cut < size; ++cut) {
      House house;
      house.disk.content(path)->resize(cut);
      INFO(path << " cut at " << cut);
      const FileReport report = check_file(house.disk, path, 0);
      REQUIRE(report.offset <= cut);
      const auto before = house.files("d/a");
      // A file that ends where a batch does is whole by itself.
      REQUIRE(house.check("d") == (report.state == FileReport::State::Whole ? CheckOutcome::Whole : CheckOutcome::Damaged));
      REQUIRE(house.files("d/a") == before);
      if (report.state == FileReport::State::Whole) continue;
      REQUIRE(house.says(fmt::format("{}", report.offset)));
      const CheckOutcome fixed = house.check("d", true);
      const auto after = house.files("d/a");
      if (path == kBase) {
        REQUIRE(fixed == CheckOutcome::Damaged);
        REQUIRE(after == before);
        continue;
      }
      REQUIRE(fixed == CheckOutcome::Whole);
      REQUIRE(house.check("d") == CheckOutcome::Whole);
      for (const auto& [name, content] : before) {
        const auto original = after.find(name + ".original");
        REQUIRE((original == after.end() ? after.at(name) : original->second) == content);
      }
      const Result<Manifest> manifest = read_manifest(house.disk, "d/a", "f");
      REQUIRE(manifest);
      REQUIRE(manifest->increments.size() == (path == kFirst ? 1 : 2));
      REQUIRE(after.count("f.2.incr.aof") == manifest->increments.size() - 1);
    }
  }
}

TEST_CASE("a changed byte in the middle is found, and what lies behind it is left as it was", "[check]") {
  House house;
  std::string& content = *house.disk.content(kFirst);
  const std::string before = content;
  content[content.find("second")] ^= 1;
  const std::string damaged = content;
  const size_t offset = before.rfind("#QB:", before.find("second"));
  CHECK(house.check("d") == CheckOutcome::Damaged);
  CHECK(house.says(fmt::format("at offset {} of {}", offset, before.size())));
  CHECK(house.says("the manifest would no longer name: f.2.incr.aof"));
  // By itself it is not touched: what follows it would be applied to what it is not meant for.
  CHECK(house.check(kFirst, true) == CheckOutcome::Damaged);
  CHECK(*house.disk.content(kFirst) == damaged);
  CHECK(house.check("d/a", true) == CheckOutcome::Whole);
  CHECK(*house.disk.content(kFirst) == before.substr(0, offset));
  CHECK(*house.disk.content(kFirst + ".original") == damaged);

  SECTION("an original is never written over") {
    house.disk.content(kFirst)->append("*");
    const std::string again = *house.disk.content(kFirst);
    CHECK(house.check("d", true) == CheckOutcome::Whole);
    CHECK(*house.disk.content(kFirst + ".original") == damaged);
    CHECK(*house.disk.content(kFirst + ".original.2") == again);
  }
}

TEST_CASE("a file of commands that no manifest names is fixed by itself, an RDB file never", "[check]") {
  House house;
  const std::string set = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n", rdb = *house.disk.content("d/dump.rdb");
  REQUIRE(replace_file(house.disk, "d", "appendonly.aof", rdb + set + "*x\r\n"));
  CHECK(house.check("d/appendonly.aof", true) == CheckOutcome::Whole);
  CHECK(*house.disk.content("d/appendonly.aof") == rdb + set);
  CHECK(*house.disk.content("d/appendonly.aof.original") == rdb + set + "*x\r\n");
  house.disk.content("d/dump.rdb")->append("behind");
  CHECK(house.check("d", true) == CheckOutcome::Damaged);
  CHECK(house.says(fmt::format("dump.rdb: damaged at offset {}", rdb.size())));
  CHECK(*house.disk.content("d/dump.rdb") == rdb + "behind");
}

TEST_CASE("a missing file, a disk that cannot be read, and a directory in use", "[check]") {
  House house;
  SECTION("a missing increment") {
    REQUIRE(house.disk.remove(kFirst));
    CHECK(house.check("d", true) == CheckOutcome::Damaged);
    CHECK(house.says("the file is missing"));
  }
  SECTION("a disk that fails") {
    house.disk.set_rates({.read = 1000});
    CHECK(house.check(kFirst) == CheckOutcome::Unreadable);
    CHECK(house.check(kBase) == CheckOutcome::Unreadable);
    CHECK(house.check("d") == CheckOutcome::Unreadable);
  }
  SECTION("a server that has the directory") {
    const auto lock = house.disk.lock_directory("d");
    REQUIRE(lock);
    house.disk.content(kSecond)->append("*");
    const auto before = house.files("d/a");
    CHECK(house.check("d", true) == CheckOutcome::Unreadable);
    CHECK(house.files("d/a") == before);
  }
}

TEST_CASE("wherever fixing is interrupted, it can be done again and nothing is lost", "[check]") {
  for (uint64_t call = 1;; ++call) {
    House house;
    std::string damaged = *house.disk.content(kFirst);
    const std::string later = *house.disk.content(kSecond);
    damaged[damaged.find("second")] ^= 1;
    REQUIRE(replace_file(house.disk, "d/a", "f.1.incr.aof", damaged));
    INFO("power cut at call " << call);
    house.disk.cut_power_at_call(call);
    const CheckOutcome fixed = house.check("d", true);
    const bool interrupted = !house.disk.has_power();
    house.disk.restart();
    REQUIRE((interrupted || fixed == CheckOutcome::Whole));
    REQUIRE(house.check("d", true) == CheckOutcome::Whole);
    std::vector<std::string> contents;
    for (const auto& [name, bytes] : house.files("d/a")) contents.push_back(bytes);
    REQUIRE(std::count(contents.begin(), contents.end(), damaged) >= 1);
    REQUIRE(std::count(contents.begin(), contents.end(), later) >= 1);
    const Result<Manifest> manifest = read_manifest(house.disk, "d/a", "f");
    REQUIRE(manifest);
    REQUIRE(manifest->increments.size() == 1);
    if (!interrupted) break;
  }
}
