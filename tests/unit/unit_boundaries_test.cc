// What acts on the log, on snapshots or on their settings from within a transaction acts when that has ended: files hold all of it or
// nothing of it.

#include <catch2/catch.hpp>

#include <string>

#include "durability_fixture.h"

using namespace quartet;

namespace {

struct Boundaries : test::DurabilityFixture {
  /// What is in databases 0 to 2.
  std::string contents() {
    std::string text;
    for (const std::string key : {"a", "b", "c"})
      for (const std::string database : {"0", "1", "2"}) {
        const std::string reply = ask("SELECT " + database + "\r\nGET " + key);
        if (reply.find("$-1") == std::string::npos) text += database + ":" + key + " ";
      }
    return text;
  }
};

}  // namespace

TEST_CASE_METHOD(Boundaries, "the log is not switched in the middle of a transaction", "[durability]") {
  for (const std::string act :
       {"BGREWRITEAOF", "BGSAVE", "BGSAVE DB 1", "CONFIG SET appendonly no", "CONFIG SET db.2.appendonly yes", "CONFIG SET db.1.appendonly no",
        "CONFIG SET appendfsync everysec", "CONFIG SET db.1.appendonly no\r\nCONFIG SET db.1.appendonly yes", "FLUSHDB\r\nBGREWRITEAOF",
        "CONFIG SET save \"1 1\"", "BGREWRITEAOF\r\nBGREWRITEAOF\r\nBGSAVE"})
    for (const bool power_goes : {false, true}) {
      INFO(act << (power_goes ? ", and the power goes" : ""));
      test::CoreClient& client = process->connect();
      client.send("MULTI\r\nSET a 1\r\n" + act + "\r\nSET b 2\r\nSELECT 1\r\nSET c 3\r\nEXEC\r\n");
      process->settle();
      const std::string reply = client.take_output();
      CHECK(reply.find("-ERR") == std::string::npos);
      client.send("SET a after\r\n");
      process->settle();
      const std::string before = contents();
      CHECK_FALSE(client.take_output().empty());
      if (act == "CONFIG SET appendonly no") {
        ask("CONFIG SET appendonly yes");
        process->settle();
      }
      if (power_goes) disk.cut_power();
      process.reset();
      disk.restart();
      start();
      process->settle();
      // A database that is not logged any more comes from where it was.
      if (act != "CONFIG SET db.1.appendonly no") CHECK(contents() == before);
      ask("FLUSHALL");
      process->settle();
    }
}

TEST_CASE_METHOD(Boundaries, "what acts on files in a transaction answers as redis-server does, and is done soon", "[durability]") {
  CHECK(ask("MULTI\r\nBGREWRITEAOF\r\nBGREWRITEAOF\r\nBGSAVE\r\nBGSAVE DB 1\r\nEXEC").ends_with(
      "*4\r\n+Background append only file rewriting scheduled\r\n+Background append only file rewriting scheduled\r\n"
      "+Background saving scheduled\r\n+Background saving scheduled\r\n"));
  const uint64_t rewrites = process->core.durability.outcomes().rewrites;
  for (int i = 0; i < 3; ++i) process->settle();
  CHECK(process->core.durability.outcomes().rewrites == rewrites + 1);
  CHECK(process->core.durability.outcomes().saves == 1);
  CHECK(disk.content("/tmp/1-dump.rdb"));
}

TEST_CASE_METHOD(Boundaries, "a snapshot that a transaction asks for holds all of it", "[durability]") {
  crash();
  start({"--appendonly", "no", "--db.2.appendonly", "no"});
  ask("MULTI\r\nSET a 1\r\nBGSAVE\r\nSET b 2\r\nEXEC");
  process->settle();
  crash();
  static_cast<void>(disk.remove("/tmp/appendonlydir/appendonly.aof.manifest"));
  start({"--appendonly", "no"});
  CHECK(contents() == "0:a 0:b ");
}

TEST_CASE_METHOD(Boundaries, "a setting that the disk refuses in a transaction is refused there", "[durability]") {
  crash();
  start({"--appendonly", "no"});
  test::CoreClient& client = process->connect();
  client.send("MULTI\r\nSET a 1\r\nCONFIG SET appendonly yes\r\nSET b 2\r\n");
  disk.fail_call(1, EIO);
  client.send("EXEC\r\n");
  CHECK(client.take_output().find("-ERR CONFIG SET failed") != std::string::npos);
  CHECK_FALSE(process->core.durability.log());
}

TEST_CASE_METHOD(Boundaries, "a reply does not wait for a log that its transaction has ended", "[durability]") {
  test::CoreClient& client = process->connect();
  client.send("MULTI\r\nSET a 1\r\nCONFIG SET appendonly no\r\nEXEC\r\n");
  process->settle();
  CHECK(client.take_output().ends_with("*2\r\n+OK\r\n+OK\r\n"));
}

TEST_CASE_METHOD(Boundaries, "what is written after CONFIG SET appendfsync always in a transaction is waited for", "[durability]") {
  ask("CONFIG SET appendfsync everysec");
  process->settle();
  test::CoreClient& client = process->connect();
  client.send("MULTI\r\nCONFIG SET appendfsync always\r\nSET a 1\r\nEXEC\r\n");
  CHECK(client.take_output().find("*2") == std::string::npos);
  process->settle();
  CHECK(client.take_output().ends_with("*2\r\n+OK\r\n+OK\r\n"));
}

TEST_CASE_METHOD(Boundaries, "SHUTDOWN NOSAVE in the middle of a transaction leaves nothing of it in the file", "[durability]") {
  // As a script that is aborted does.
  ask("SET a before");
  process->settle();
  const std::string_view one[] = {"SET", "a", "1"}, other[] = {"SET", "b", "2"};
  process->core.feed.begin_unit();
  process->core.feed.begin_unit();
  process->core.feed.append({0, one});
  process->core.feed.append({1, other});
  process->core.feed.abandon();
  process->core.feed.append({1, other});
  process->core.feed.end_unit();
  process->core.feed.end_unit();
  CHECK_FALSE(process->core.durability.abort_shutdown());
  process->core.shut_down(server::Durability::Save::No, true, [] {});
  process->settle();
  CHECK(process->host.ended == 0);
  crash();
  start();
  process->settle();
  CHECK(contents() == "0:a ");
  CHECK(ask("GET a") == "$6\r\nbefore\r\n");
}

TEST_CASE_METHOD(Boundaries, "what FLUSHALL has emptied stays so where rules of save ask for snapshots", "[durability]") {
  for (const std::string flush : {"FLUSHALL", "MULTI\r\nFLUSHALL\r\nEXEC", "EVAL \"return redis.call('FLUSHALL')\" 0"}) {
    crash();
    start({"--appendonly", "no", "--save", "3600 1000"});
    INFO(flush);
    ask("SET a 1");
    CHECK(ask("SAVE") == "+OK\r\n");
    test::CoreClient& client = process->connect();
    client.send(flush + "\r\nSET b 2\r\n");
    CHECK(client.take_output().find("+OK\r\n+OK") == std::string::npos);
    process->settle();
    CHECK(client.take_output().ends_with("+OK\r\n+OK\r\n"));
    crash();
    start({"--appendonly", "no", "--save", "3600 1000"});
    process->settle();
    CHECK(contents().empty());
  }
}

TEST_CASE_METHOD(Boundaries, "FLUSHALL of many clients at once: all are answered, by two snapshots", "[durability]") {
  crash();
  start({"--appendonly", "no", "--save", "3600 1000"});
  const uint64_t saves = process->core.durability.outcomes().saves;
  std::vector<test::CoreClient*> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(&process->connect());
    clients.back()->send("FLUSHALL\r\n");
    process->core.end_turn();
  }
  process->settle();
  for (test::CoreClient* client : clients) CHECK(client->take_output() == "+OK\r\n");
  CHECK(process->core.durability.outcomes().saves == saves + 2);
}

TEST_CASE_METHOD(Boundaries, "FLUSHALL goes before a snapshot of what it has emptied, and is answered where the disk fails", "[durability]") {
  crash();
  start({"--appendonly", "no", "--save", "3600 1000"});
  ask("SET a 1\r\nBGSAVE");
  CHECK(process->core.durability.saving());
  test::CoreClient& client = process->connect();
  disk.set_capacity(0);
  client.send("FLUSHALL\r\n");
  process->settle();
  CHECK(client.take_output() == "+OK\r\n");
  CHECK(ask("SET b 2").starts_with("-MISCONF"));
  disk.set_capacity(UINT64_MAX);
  for (int i = 0; i < 10; ++i) process->settle();
  CHECK(ask("SET b 2") == "+OK\r\n");
  crash();
  start({"--appendonly", "no"});
  process->settle();
  CHECK(contents().empty());
}
