// The log's answers to single failures; the simulation mixes them.

#include "persistence/aof_log.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <string>

#include "base/limits.h"
#include "simulated_disk.h"

using namespace quartet;
using namespace quartet::persistence;
using test::SimulatedDisk;

namespace {

struct Fixture {
  SimulatedDisk disk{3};
  AofLog log{disk, "d", "f", 3};
  int64_t now_us = 10'000'000;

  Fixture() {
    REQUIRE(disk.make_directory("d"));
    log.set_database(0, true, FsyncPolicy::Always);
    log.set_database(1, true, FsyncPolicy::Everysec);
    CHECK(log.needs_new_base());
    rewrite();
    REQUIRE_FALSE(log.needs_new_base());
  }
  void set(int database, std::string_view value = "v") {
    const std::string_view words[] = {"SET", "k", value};
    log.append({database, words});
  }
  /// Whether there was a job; it has been run.
  bool turn() {
    std::unique_ptr<AofJob> job = log.take_job(now_us);
    if (!job) return false;
    CHECK_FALSE(log.take_job(now_us));
    job->run();
    log.completed(std::move(job), now_us);
    return true;
  }
  void turns() {
    while (turn()) {
    }
  }
  void rewrite() {
    const uint64_t number = log.switch_file();
    REQUIRE(replace_file(disk, "d", "temp-base", "base"));
    log.adopt_base(number, "d/temp-base");
    turns();
  }
  Manifest manifest() { return *read_manifest(disk, "d", "f"); }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "always is synced with its batch, everysec a second after the last sync", "[aof]") {
  set(1);
  REQUIRE(turn());
  CHECK(log.durable() == log.position());  // nothing was synced for this policy yet
  set(1);
  REQUIRE(turn());
  CHECK(log.written() == log.position());
  CHECK(log.durable() < log.position());
  CHECK(log.last_always(1) == 0);
  now_us += 999'999;
  CHECK_FALSE(turn());
  now_us += 1;
  REQUIRE(turn());
  CHECK(log.durable() == log.position());
  CHECK_FALSE(turn());
  set(0);
  CHECK(log.last_always(0) == log.position());
  REQUIRE(turn());
  CHECK(log.durable() == log.position());
  log.pause_everysec(true);
  set(1);
  now_us += 5'000'000;
  REQUIRE(turn());
  CHECK(log.durable() < log.position());
  CHECK_FALSE(turn());
  log.request_sync();
  REQUIRE(turn());
  CHECK(log.durable() == log.position());
}

TEST_CASE_METHOD(Fixture, "a full disk is a failure until it has room", "[aof]") {
  const std::string before = *disk.content("d/f.1.incr.aof");
  set(0, std::string(100, 'x'));
  disk.set_capacity(before.size() + 150);
  REQUIRE(turn());
  REQUIRE(log.failure());
  CHECK(log.failure()->code == ENOSPC);
  CHECK_FALSE(log.needs_new_base());
  CHECK(log.durable() < log.last_always(0));
  CHECK(*disk.content("d/f.1.incr.aof") == before);
  CHECK_FALSE(turn());  // not at once
  set(1);
  disk.set_capacity(UINT64_MAX);
  now_us += 100'000;
  turns();
  CHECK_FALSE(log.failure());
  CHECK(log.durable() >= log.last_always(0));
  CHECK(log.backlog() == 0);
}

TEST_CASE_METHOD(Fixture, "after a failed sync nothing is durable before a new base is", "[aof]") {
  set(0);
  const uint64_t held = log.position();
  disk.set_rates({.sync = 1000});
  REQUIRE(turn());
  disk.set_rates({});
  CHECK(log.needs_new_base());
  CHECK(log.failure());
  CHECK(log.durable() < held);
  set(0);
  now_us += 5'000'000;
  CHECK_FALSE(turn());
  CHECK(log.backlog() == 0);

  const uint64_t number = log.switch_file();
  CHECK_FALSE(log.needs_new_base());
  set(0);
  turns();
  CHECK(log.written() == log.position());
  CHECK(log.durable() < held);
  CHECK(log.failure());
  CHECK(manifest().increments.back().sequence == 1);
  REQUIRE(replace_file(disk, "d", "temp-base", "base"));
  log.adopt_base(number, "d/temp-base");
  turns();
  CHECK_FALSE(log.failure());
  CHECK(log.durable() == log.position());
  CHECK(manifest().base->sequence == 2);
  CHECK(manifest().increments == std::vector<Manifest::Entry>{{"f.2.incr.aof", 2}});
  CHECK(*disk.list("d") == std::vector<std::string>{"f.2.base.rdb", "f.2.incr.aof", "f.manifest"});
}

TEST_CASE_METHOD(Fixture, "a rewrite names both increments at once, and its base only when it is there", "[aof]") {
  set(0);
  const uint64_t number = log.switch_file();
  set(1);
  turns();
  CHECK(manifest().increments.size() == 2);
  CHECK(manifest().base->sequence == 1);
  CHECK(log.rewrite() == number);
  CHECK(log.size() == 4 + disk.content("d/f.1.incr.aof")->size() + disk.content("d/f.2.incr.aof")->size());
  // Each file says itself which database it begins with.
  CHECK(disk.content("d/f.2.incr.aof")->find("SELECT") != std::string::npos);

  SECTION("abandoned") {
    log.abandon_rewrite(number);
    CHECK_FALSE(log.rewrite());
    set(0);
    turns();
    CHECK(log.durable() == log.position());
    rewrite();
    CHECK(manifest().increments == std::vector<Manifest::Entry>{{"f.3.incr.aof", 3}});
    log.adopt_base(number, "d/temp-base");  // too late
    CHECK_FALSE(turn());
  }
  SECTION("without its base") {
    log.adopt_base(number, "d/none");
    turns();
    CHECK_FALSE(log.rewrite());
    REQUIRE(log.rewrite_error());
    CHECK(log.rewrite_error()->code == ENOENT);
    CHECK(log.rewrites_done() == 1);
    CHECK_FALSE(log.failure());
    CHECK(manifest().increments.size() == 2);
  }
  SECTION("written at the second try, but without its base") {
    disk.set_rates({.append = 1000});
    set(0);
    log.adopt_base(number, "d/none");
    turn();
    CHECK(log.failure());
    disk.set_rates({});
    now_us += 100'000;
    turns();
    CHECK_FALSE(log.rewrite());
    CHECK_FALSE(log.failure());
  }
  SECTION("adopted") {
    REQUIRE(replace_file(disk, "d", "temp-base", "larger base"));
    log.adopt_base(number, "d/temp-base");
    turns();
    CHECK(log.rewrites_done() == 2);
    CHECK(log.base_size() == 11);
    CHECK(log.size() == 11 + disk.content("d/f.2.incr.aof")->size());
    CHECK(manifest().history.empty());
    CHECK(manifest().increments == std::vector<Manifest::Entry>{{"f.2.incr.aof", 2}});
  }
}

TEST_CASE_METHOD(Fixture, "what does not fit into the backlog breaks the log", "[aof]") {
  disk.set_capacity(0);
  const std::string value(16 * 1024 * 1024, 'x');
  for (size_t bytes = 0; bytes < limits::kAofBacklogBytes; bytes += value.size()) {
    CHECK_FALSE(log.needs_new_base());
    set(0, value);
    turn();
    now_us += 100'000;
  }
  CHECK(log.needs_new_base());
  REQUIRE(log.failure());
  CHECK(log.failure()->code == ENOSPC);
  CHECK(log.backlog() == 0);
  disk.set_capacity(UINT64_MAX);
  rewrite();
  CHECK_FALSE(log.failure());
  CHECK(log.durable() == log.position());
}

TEST_CASE_METHOD(Fixture, "a job that the log broke under changes nothing any more", "[aof]") {
  disk.set_rates({.sync = 1000});
  set(0);
  turn();
  disk.set_rates({});
  const uint64_t number = log.switch_file();
  turns();
  set(0);
  std::unique_ptr<AofJob> job = log.take_job(now_us);
  REQUIRE(job);
  job->run();
  log.abandon_rewrite(number);  // of a candidate: it is given up
  CHECK(log.needs_new_base());
  const uint64_t durable = log.durable();
  log.switch_file();
  CHECK_FALSE(log.take_job(now_us));
  log.completed(std::move(job), now_us);
  CHECK(log.durable() == durable);
  CHECK(log.take_job(now_us));
}
