#include "server/durability.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <set>
#include <string>
#include <vector>

#include "durability_fixture.h"

using namespace quartet;

using Fixture = test::DurabilityFixture;

TEST_CASE_METHOD(Fixture, "a reply about a database under always waits for the disk, whatever brought the data there", "[durability]") {
  for (const std::string change : {"MOVE key 1", "COPY key key DB 1", "SWAPDB 0 1"}) {
    test::CoreClient &writer = process->connect(), &reader = process->connect();
    writer.send("FLUSHALL\r\nSET key value\r\n");
    reader.send("SELECT 1\r\n");
    process->settle();
    CHECK(writer.take_output() == "+OK\r\n+OK\r\n");
    CHECK(reader.take_output() == "+OK\r\n");
    writer.send(change + "\r\n");
    reader.send("GET key\r\n");
    CHECK(writer.output_size() == 0);
    CHECK(reader.output_size() == 0);
    process->settle();
    CHECK(reader.take_output() == "$5\r\nvalue\r\n");
  }
}

TEST_CASE_METHOD(Fixture, "replies that wait go on waiting when the settings of the log change", "[durability]") {
  for (const std::string change : {"db.2.appendonly yes", "db.2.appendonly no", "appendfsync everysec"}) {
    test::CoreClient &writer = process->connect(), &reader = process->connect();
    writer.send("SET key value\r\n");
    CHECK(ask("CONFIG SET " + change).find("ERR") == std::string::npos);
    reader.send("GET key\r\n");
    CHECK(writer.output_size() == 0);
    CHECK(reader.output_size() == 0);
    process->settle();
    CHECK(writer.take_output() == "+OK\r\n");
    CHECK(reader.take_output() == "$5\r\nvalue\r\n");
    crash();
    start();
    process->settle();
    CHECK(ask("GET key") == "$5\r\nvalue\r\n");
  }
}

TEST_CASE_METHOD(Fixture, "a database that leaves the log and joins it again while a job is under way loses nothing", "[durability]") {
  test::CoreClient& writer = process->connect();
  writer.send("SET key value\r\n");
  ask("CONFIG SET appendonly no");
  ask("CONFIG SET appendonly yes");
  writer.send("SET other value\r\n");
  process->settle();
  CHECK(writer.take_output() == "+OK\r\n+OK\r\n");
  crash();
  start();
  CHECK(ask("DBSIZE") == ":2\r\n");
}

TEST_CASE_METHOD(Fixture, "a disk that refuses a log at run time leaves everything as it was", "[durability]") {
  crash();
  start({"--appendonly", "no"});
  disk.fail_call(1, EIO);
  CHECK(ask("CONFIG SET appendonly yes").starts_with("-ERR CONFIG SET failed"));
  CHECK_FALSE(process->core.durability.log());
  CHECK(ask("CONFIG SET appendonly yes") == "+OK\r\n");
  disk.fail_call(2, EIO);
  ask("CONFIG SET db.2.appendonly yes");
  REQUIRE(process->core.durability.log());
}

TEST_CASE_METHOD(Fixture, "what was swapped loads though the settings of the databases have come apart", "[durability]") {
  test::CoreClient& writer = process->connect();
  writer.send("SET key value\r\nSWAPDB 0 1\r\n");
  process->settle();
  crash();
  start({"--db.1.appendfsync", "no"});
  CHECK(ask("DBSIZE") == ":0\r\n");
  CHECK(ask("SWAPDB 0 1").starts_with("-ERR databases with different"));
}

TEST_CASE_METHOD(Fixture, "what was evicted does not come back, and a limit does not keep away what is loaded", "[durability]") {
  const auto keys = [&] {
    std::string reply = ask("KEYS *");
    std::set<std::string> found;
    for (size_t at = 0; (at = reply.find("key:", at)) != std::string::npos; ++at) found.insert(reply.substr(at, 8));
    return found;
  };
  crash();
  start({"--db.0.maxmemory", "30kb", "--db.0.maxmemory-policy", "allkeys-lru"});
  test::CoreClient& writer = process->connect();
  for (int i = 1000; i < 2000; ++i) writer.send(fmt::format("SET key:{} {}\r\n", i, std::string(100, 'x')));
  process->settle();
  const std::set<std::string> kept = keys();
  CHECK(kept.size() > 100);
  CHECK(kept.size() + process->core.stats.evicted_keys == 1000);
  for (const std::string budget : {"0", "1"}) {
    crash();
    start({"--db.0.maxmemory", budget});
    CHECK(keys() == kept);
  }
}

TEST_CASE_METHOD(Fixture, "a database that is not logged any more leaves the files after the next start", "[durability]") {
  test::CoreClient& writer = process->connect();
  writer.send("SET key value-of-old\r\n");
  process->settle();
  crash();
  for (const std::string found : {":1\r\n", ":0\r\n"}) {
    start({"--db.0.appendonly", "no"});
    CHECK(ask("DBSIZE") == found);
    process->settle();
    const auto names = disk.list("/tmp/appendonlydir");
    REQUIRE(names);
    for (const std::string& name : *names) CHECK(disk.content("/tmp/appendonlydir/" + name)->find("value-of-old") == std::string::npos);
    crash();
  }
}

TEST_CASE("a snapshot that the server gives up is no failure of the disk", "[durability]") {
  test::SimulatedDisk disk{1};
  REQUIRE(disk.make_directory("/tmp"));
  test::TestProcess process(disk, {});
  process.core.tick();
  REQUIRE(process.core.durability.rewriting());
  test::CoreClient client(process.core, 1);
  client.send("SAVE\r\nSET key value\r\n");
  CHECK(client.take_output() == "+OK\r\n");
  process.settle();
  CHECK(client.take_output() == "+OK\r\n");
}

TEST_CASE_METHOD(Fixture, "a snapshot that is given up while its last write is under way replaces no newer one", "[durability]") {
  crash();
  start({"--appendonly", "no"});
  CHECK(ask("SET key old") == "+OK\r\n");
  CHECK(ask("BGSAVE") == "+Background saving started\r\n");
  process->clock.advance_ms(100);
  process->core.tick();
  REQUIRE(process->background.jobs.size() == 1);
  CHECK(ask("SET key new") == "+OK\r\n");
  CHECK(ask("SHUTDOWN SAVE").empty());
  REQUIRE(process->host.ended == 0);
  process->background.jobs.front().work();
  crash();
  start({"--appendonly", "no"});
  CHECK(ask("GET key") == "$3\r\nnew\r\n");
}

TEST_CASE("SHUTDOWN waits for the base of what is logged", "[durability]") {
  test::SimulatedDisk disk{1};
  REQUIRE(disk.make_directory("/tmp"));
  REQUIRE(disk.sync_directory(""));
  {
    test::TestProcess process(disk, {"--appendonly", "no"});
    test::CoreClient client(process.core, 1);
    client.send("SET key value\r\nCONFIG SET appendonly yes\r\nSHUTDOWN\r\n");
    CHECK_FALSE(process.host.ended);
    process.settle();
    CHECK(process.host.ended == 0);
    disk.cut_power();
  }
  disk.restart();
  test::TestProcess process(disk, {});
  test::CoreClient client(process.core, 1);
  client.send("DBSIZE\r\n");
  CHECK(client.take_output() == ":1\r\n");
}

TEST_CASE_METHOD(Fixture, "writes that a failed snapshot keeps away are allowed again by itself", "[durability]") {
  crash();
  start({"--save", "1 100"});
  process->settle();
  disk.fail_call(1, ENOSPC);
  CHECK(ask("SAVE") == "-ERR\r\n");
  CHECK_FALSE(process->core.durability.refuses());  // who sent it was told
  disk.fail_call(1, ENOSPC);
  CHECK(ask("BGSAVE") == "+Background saving started\r\n");
  process->settle();
  CHECK(ask("SET key value").starts_with("-MISCONF"));
  process->clock.advance_ms(6000);
  process->settle();
  test::CoreClient client(process->core, 1);
  client.send("SET key value\r\n");
  process->settle();
  CHECK(client.take_output() == "+OK\r\n");
}

TEST_CASE("snapshots that an earlier process did not end are removed, and nothing else", "[durability]") {
  test::SimulatedDisk disk(1);
  REQUIRE(disk.make_directory("/tmp"));
  REQUIRE(disk.make_directory("/tmp/appendonlydir"));
  const std::vector<std::string> left = {"/tmp/temp-3.rdb", "/tmp/appendonlydir/temp-12.rdb"};
  const std::vector<std::string> others = {"/tmp/temp-.rdb", "/tmp/temp-3.rdb.old", "/tmp/temp-three.rdb", "/tmp/appendonlydir/temp-notes"};
  for (const auto& names : {left, others})
    for (const std::string& name : names) REQUIRE(disk.create(name));
  test::TestProcess process(disk, {});
  for (const std::string& name : left) CHECK_FALSE(disk.content(name));
  for (const std::string& name : others) CHECK(disk.content(name));
}

TEST_CASE_METHOD(Fixture, "a database's own save rules count its own changes, the others count theirs together", "[durability]") {
  crash();
  start({"--databases", "4", "--save", "1 3", "--db.1.save", "1 2", "--db.3.save", ""});
  // Saves when the changes have been made that long enough are unsaved.
  const auto saves_after = [&](const std::string& database, int changes) {
    const uint64_t before = process->core.durability.outcomes().saves;
    test::CoreClient client(process->core, 1);
    client.send("SELECT " + database + "\r\n");
    for (int i = 0; i < changes; ++i) client.send("INCR counter\r\n");
    process->settle();
    process->settle();
    return process->core.durability.outcomes().saves - before;
  };
  CHECK(saves_after("0", 2) == 0);
  CHECK(saves_after("1", 1) == 0);
  CHECK(saves_after("1", 1) == 1);
  CHECK(ask("INFO persistence").find("rdb_changes_since_last_save:0\r\n") != std::string::npos);
  CHECK(saves_after("0", 2) == 0);
  CHECK(saves_after("0", 1) == 1);
  CHECK(saves_after("3", 100) == 0);
  CHECK(saves_after("2", 100) == 0);  // which is in no file
  CHECK(saves_after("0", 3) == 1);
  CHECK(ask("INFO persistence").find("rdb_changes_since_last_save:0\r\n") != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "a failed snapshot keeps writes away only from databases whose rules ask for one", "[durability]") {
  crash();
  start({"--save", "1 100", "--db.1.save", ""});
  disk.fail_call(1, ENOSPC);
  CHECK(ask("BGSAVE") == "+Background saving started\r\n");
  process->settle();
  CHECK(ask("SET key value").starts_with("-MISCONF"));
  test::CoreClient client(process->core, 1);
  client.send("SELECT 1\r\nSET key value\r\n");
  CHECK(client.take_output() == "+OK\r\n");
  process->settle();
  CHECK(client.take_output() == "+OK\r\n");
}

TEST_CASE_METHOD(Fixture, "what default-ttl gave is the same after a restart, and nothing is given anew", "[durability]") {
  crash();
  start({"--db.0.default-ttl", "100"});
  ask("SET key v\r\nHSET hash f v\r\nSET forever v\r\nPERSIST forever");
  process->settle();
  const std::string expiries = ask("PEXPIRETIME key\r\nPEXPIRETIME hash\r\nPEXPIRETIME forever");
  CHECK(expiries.ends_with(":-1\r\n"));
  for (int restart = 0; restart < 2; ++restart) {
    // From the increment, and then from a base.
    if (restart == 1) ask("BGREWRITEAOF");
    process->settle();
    crash();
    start({"--db.0.default-ttl", "50"});
    process->clock.advance_ms(1000);
    CHECK(ask("PEXPIRETIME key\r\nPEXPIRETIME hash\r\nPEXPIRETIME forever") == expiries);
  }
}

TEST_CASE_METHOD(Fixture, "files of rewrites that were not adopted are removed, where a manifest says which were", "[durability]") {
  const std::string directory = "/tmp/appendonlydir/";
  const auto put = [&](const std::string& name) { REQUIRE(disk.create(directory + name)); };
  test::CoreClient& writer = process->connect();
  writer.send("SET key value\r\n");
  process->settle();
  crash();
  const std::vector<std::string> orphans = {"appendonly.aof.77.base.rdb", "appendonly.aof.99.incr.aof"};
  const std::vector<std::string> others = {"other.aof.1.incr.aof", "appendonly.aof.99.incr.aof.bak"};
  for (const auto& names : {orphans, others})
    for (const std::string& name : names) put(name);
  const std::string manifest = *disk.content(directory + "appendonly.aof.manifest");
  start();
  CHECK(ask("DBSIZE") == ":1\r\n");
  for (const std::string& name : orphans) CHECK_FALSE(disk.content(directory + name));
  for (const std::string& name : others) CHECK(disk.content(directory + name));
  process.reset();
  disk.restart();
  put(orphans[0]);
  REQUIRE(disk.remove(directory + "appendonly.aof.manifest"));
  start();
  CHECK(disk.content(directory + orphans[0]));
}

TEST_CASE_METHOD(Fixture, "what a transaction changes is looked for where it selects", "[durability]") {
  test::CoreClient &queued = process->connect(), &client = process->connect();
  queued.send("SELECT 2\r\nMULTI\r\nSELECT 0\r\nSET key value\r\n");
  client.send("SELECT 2\r\n");
  CHECK(client.take_output() == "+OK\r\n");
  disk.set_capacity(0);
  ask("SET key value");
  process->settle();
  REQUIRE(process->core.durability.log()->failure());
  queued.take_output();
  queued.send("EXEC\r\n");
  CHECK(queued.take_output().starts_with("-EXECABORT Transaction discarded because of: MISCONF"));

  client.send("MULTI\r\nSET key value\r\nSELECT 0\r\n");
  CHECK(client.take_output() == "+OK\r\n+QUEUED\r\n+QUEUED\r\n");
  client.send("SET key value\r\n");
  CHECK(client.take_output().starts_with("-MISCONF"));
  client.send("EXEC\r\n");
  CHECK(client.take_output().starts_with("-EXECABORT"));
  // One that changes nothing where it would be refused goes on.
  client.send("MULTI\r\nSELECT 77\r\nSELECT 1\r\nSELECT 2\r\nSET key value\r\nEXEC\r\n");
  CHECK(client.take_output().ends_with("*4\r\n-ERR DB index is out of range\r\n+OK\r\n+OK\r\n+OK\r\n"));
}

TEST_CASE_METHOD(Fixture, "replies are held while a database is under always, or what it promised is not on disk", "[durability]") {
  test::CoreClient &writer = process->connect(), &reader = process->connect();
  CHECK(process->core.durability.holds());
  writer.send("SET key value\r\n");
  ask("CONFIG SET appendfsync everysec");
  CHECK(process->core.durability.holds());
  reader.send("GET key\r\n");
  CHECK(reader.output_size() == 0);
  process->settle();
  CHECK(reader.take_output() == "$5\r\nvalue\r\n");
  CHECK_FALSE(process->core.durability.holds());
  ask("CONFIG SET db.1.appendfsync always");
  CHECK(process->core.durability.holds());
}

TEST_CASE_METHOD(Fixture, "what the settings say while data are loaded is followed when they are there", "[durability]") {
  REQUIRE(disk.make_directory("/var"));
  REQUIRE(disk.sync_directory(""));
  test::CoreClient& writer = process->connect();
  writer.send("SET key value\r\nSAVE\r\n");
  process->settle();
  crash();
  SECTION("the log stays where it was loaded from") {
    process = std::make_unique<test::TestProcess>(disk, std::vector<std::string>{"--enable-protected-configs", "yes"}, "CONFIG SET dir /var");
    CHECK(process->core.durability.log()->directory() == "/tmp/appendonlydir");
  }
  SECTION("a log begins that was not wanted before") {
    process = std::make_unique<test::TestProcess>(disk, std::vector<std::string>{"--appendonly", "no"}, "CONFIG SET appendonly yes");
    REQUIRE(process->core.durability.log());
  }
  test::CoreClient& later = process->connect();
  later.send("SET other value\r\n");
  process->settle();
  CHECK(later.take_output() == "+OK\r\n");
  crash();
  start();
  CHECK(ask("DBSIZE") == ":2\r\n");
}

TEST_CASE_METHOD(Fixture, "the append-only file stays where it began when the directory changes", "[durability]") {
  crash();
  REQUIRE(disk.make_directory("/var"));
  REQUIRE(disk.sync_directory(""));
  start({"--enable-protected-configs", "yes", "--save", "1 1000"});
  CHECK(ask("CONFIG SET dir /var") == "+OK\r\n");
  CHECK(ask("SAVE") == "+OK\r\n");
  CHECK(disk.content("/var/dump.rdb"));
  // The new directory is taken too, and the old one stays so.
  CHECK_FALSE(disk.lock_directory("/var"));
  CHECK_FALSE(disk.lock_directory("/tmp"));
  test::CoreClient& writer = process->connect();
  writer.send("SET key value\r\nBGREWRITEAOF\r\nSET other value\r\n");
  process->settle();
  CHECK(writer.take_output().ends_with("+OK\r\n"));
  CHECK(process->core.durability.outcomes().last_rewrite_ok);
  // One that begins in the new directory does not touch the old files.
  CHECK(ask("CONFIG SET appendonly no") == "+OK\r\n");
  CHECK(ask("CONFIG SET appendonly yes") == "+OK\r\n");
  process->settle();
  CHECK(process->core.durability.log()->directory() == "/var/appendonlydir");
  CHECK(disk.content("/var/appendonlydir/appendonly.aof.manifest"));
  CHECK(ask("CONFIG SET dir /tmp") == "+OK\r\n");
  CHECK(ask("CONFIG SET appendonly no") == "+OK\r\n");
  CHECK(ask("CONFIG SET appendonly yes") == "+OK\r\n");
  CHECK(process->core.durability.log()->directory() == "/tmp/appendonlydir");
  process->settle();
  CHECK(process->core.durability.log()->whole());
  crash();
  start();
  CHECK(ask("DBSIZE") == ":2\r\n");
}

TEST_CASE_METHOD(Fixture, "changes since the last save are counted by elements, as redis-server counts them", "[durability]") {
  struct Count {
    std::string request;
    uint64_t changes;
  };
  // As seen on redis-server 7.0.15, on a database that is empty at first.
  const std::vector<Count> counts = {
      {"MSET a 1 b 2 c 3", 3}, {"GET a", 0}, {"RPUSH l a b c d e f", 6}, {"LPOP l 2", 2}, {"LTRIM l 0 1", 2}, {"LMOVE l l2 LEFT RIGHT", 1},
      {"LPOP l 100", 1}, {"SADD s a b c", 3}, {"SADD s a d", 1}, {"SREM s a b x", 2}, {"SPOP s 1", 1}, {"SADD s e", 1}, {"SPOP s 100", 2},
      {"HSET h a 1 b 2", 2}, {"HSET h a 1", 1}, {"HDEL h a b", 2}, {"ZADD z 1 a 2 b 3 c 4 d", 4}, {"ZADD z 1 a 5 b", 1}, {"ZPOPMAX z 2", 2},
      {"ZREMRANGEBYRANK z 0 -1", 2}, {"RENAME a a2", 1}, {"MOVE a2 1", 1}, {"SWAPDB 0 1", 1}, {"DEL a2 nothing", 1}, {"RPUSH u 3 1 2", 3},
      {"SORT u STORE o", 3}, {"SUNIONSTORE t nothing", 0}, {"FLUSHALL", 5}};
  for (const Count& count : counts) {
    const uint64_t before = process->core.stats.sum(&server::DatabaseStatistics::dirty);
    ask(count.request);
    INFO(count.request);
    CHECK(process->core.stats.sum(&server::DatabaseStatistics::dirty) - before == count.changes);
  }
}
