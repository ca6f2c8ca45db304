#include "server/long_commands.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <optional>
#include <string>

#include "core_client.h"
#include "server/commands/families.h"
#include "server/process_info.h"
#include "server/server.h"
#include "simulated_disk.h"

using namespace quartet;

namespace {

/// A server with 100 keys "k:0" to "k:99" and a set "set" of 100 members in database 1, in which each command is divided wherever
/// it can be.
struct Core {
  explicit Core(std::vector<std::string> options = {}) : log(clock) {
    log.set_level(LogLevel::Warning);
    REQUIRE(disk.make_directory("/tmp"));
    options.insert(options.end(), {"--dir", "/tmp", "--save", "", "--enable-debug-command", "yes", "--slowlog-log-slower-than", "0"});
    REQUIRE_FALSE(config.load(options));
    core.emplace(clock, log, config, disk, background, host, server::all_families());
    test::CoreClient client(*core, 100);
    client.send("SELECT 1\r\nDEBUG POPULATE 100 k\r\n");
    std::string members;
    for (int i = 0; i < 100; ++i) members += " m" + std::to_string(i);
    client.send("SADD set" + members + "\r\n");
    CHECK(client.take_output() == "+OK\r\n+OK\r\n:100\r\n");
    core->long_commands.set_bounds({.work = 10, .slice_us = 0});
  }
  /// Slices until none is left; how many there were.
  size_t slices() {
    size_t count = 0;
    while (core->slice()) ++count;
    return count;
  }
  storage::Keyspace& cache() { return core->database(1); }

  ManualClock clock;
  Log log;
  server::ConfigStore config;
  test::SimulatedDisk disk{1};
  test::ImmediateBackground background;
  test::EndingHost host;
  std::optional<server::Server> core;
};

/// A client in database 1.
struct CacheClient : test::CoreClient {
  CacheClient(Core& server, int port) : CoreClient(*server.core, port) {
    send("SELECT 1\r\n");
    CHECK(take_output() == "+OK\r\n");
  }
};

size_t count(std::string_view text, std::string_view part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

}  // namespace

TEST_CASE("clients of other databases go on while a command is in slices, and those of its own wait", "[long]") {
  Core server;
  CacheClient first(server, 1), second(server, 2);
  test::CoreClient broker(*server.core, 3);
  first.send("KEYS k:*\r\nPING\r\n");
  CHECK(server.cache().locked());
  second.send("GET k:1\r\n");
  broker.send("LPUSH queue job\r\nRPOP queue\r\n");
  CHECK(broker.take_output() == ":1\r\n$3\r\njob\r\n");
  CHECK(first.output_size() == 0);
  CHECK(second.output_size() == 0);
  // What touches no data does not wait, in whatever database.
  test::CoreClient other(*server.core, 4);
  other.send("SELECT 1\r\nPING\r\nPUBLISH channel x\r\n");
  CHECK(other.take_output() == "+OK\r\n+PONG\r\n:0\r\n");
  CHECK(server.slices() > 90);
  const std::string keys = first.take_output();
  CHECK(keys.starts_with("*100\r\n"));
  CHECK(keys.ends_with("+PONG\r\n"));
  CHECK(second.take_output() == "$7\r\nvalue:1\r\n");
  CHECK_FALSE(server.cache().locked());
  CHECK_FALSE(server.core->slice());
}

TEST_CASE("clients who wait for a database go on in the order in which they came", "[long]") {
  Core server;
  CacheClient first(server, 1);
  first.send("SMEMBERS set\r\nGET counter\r\n");
  CacheClient third(server, 3), second(server, 2);
  third.send("INCR counter\r\n");
  second.send("SMEMBERS set\r\nINCRBY counter 10\r\n");
  server.slices();
  // The second one's command was in slices as well, and the first one's next waited for it.
  CHECK(third.take_output() == ":1\r\n");
  CHECK(second.take_output().ends_with(":11\r\n"));
  CHECK(first.take_output().ends_with("$1\r\n1\r\n"));
}

TEST_CASE("a change in slices is seen whole or not at all, and is one effect", "[long]") {
  struct Recorder final : persistence::Sink {
    void append(const persistence::Effect& effect) override { log += fmt::format("{}:{} ", effect.database, effect.arguments[0]); }
    void begin_unit() override { log += "( "; }
    void end_unit() override { log += ") "; }
    void abandon_unit() override {}
    std::string log;
  } recorder;
  Core server;
  server.core->feed.add(recorder);
  CacheClient writer(server, 1), reader(server, 2);
  test::CoreClient broker(*server.core, 3);
  writer.send("DEL k:0 k:1 k:2 k:3 k:4 k:5 k:6 k:7 k:8 k:9\r\n");
  reader.send("EXISTS k:0 k:9\r\n");
  broker.send("SET a b\r\n");
  for (int i = 0; i < 3; ++i) server.core->slice();
  broker.send("MULTI\r\nSET a c\r\nSET d e\r\nEXEC\r\n");
  CHECK(recorder.log == "0:SET ( 0:SET 0:SET ) ");
  CHECK(reader.output_size() == 0);
  server.slices();
  CHECK(writer.take_output() == ":10\r\n");
  CHECK(reader.take_output() == ":0\r\n");
  CHECK(recorder.log == "0:SET ( 0:SET 0:SET ) 1:DEL ");
  server.core->feed.remove(recorder);
}

TEST_CASE("hits and misses are counted once", "[long]") {
  Core server;
  CacheClient client(server, 1);
  const server::DatabaseStatistics& counted = server.core->stats.database(1);
  const uint64_t hits = counted.keyspace_hits, misses = counted.keyspace_misses;
  client.send("SUNION set none set\r\nSORT set BY nothing* GET k:* ALPHA\r\n");
  server.slices();
  CHECK(counted.keyspace_hits - hits == 3);
  CHECK(counted.keyspace_misses - misses == 1 + 2 * 100);
}

TEST_CASE("the slow log names who has worked so long in slices, and for how long", "[long]") {
  Core server;
  CacheClient client(server, 1);
  test::CoreClient broker(*server.core, 3);
  broker.send("SLOWLOG RESET\r\n");
  client.send("KEYS *\r\n");
  // Time that passes between the slices is not its own.
  server.clock.advance_ms(50);
  server.slices();
  broker.take_output();
  broker.send("SLOWLOG GET 2\r\n");
  const std::string log = broker.take_output();
  CHECK(log.find("$4\r\nKEYS\r\n$1\r\n*\r\n$11\r\n127.0.0.1:1\r\n") != log.npos);
  CHECK(log.find(":50000\r\n") == log.npos);
}

TEST_CASE("a client that goes away gives up what it reads, and not what it writes", "[long]") {
  Core server;
  CacheClient other(server, 2);
  test::CoreClient broker(*server.core, 4);
  {
    CacheClient reader(server, 1);
    reader.send("SUNION set set\r\n");
    CHECK(server.cache().locked());
  }
  CHECK_FALSE(server.cache().locked());
  {
    CacheClient writer(server, 1);
    writer.send("SUNIONSTORE copy set\r\n");
    other.send("SCARD copy\r\n");
    broker.send("CLIENT KILL TYPE normal SKIPME yes ADDR 127.0.0.1:1\r\n");
    CHECK(broker.take_output() == ":1\r\n");
    writer.close_if_finished();
    CHECK_FALSE(writer.open());
    CHECK(server.cache().locked());
    CHECK(other.output_size() == 0);
  }
  server.slices();
  CHECK(other.take_output() == ":100\r\n");
}

TEST_CASE("a client that says nothing more is answered to the end of what it has said", "[long]") {
  Core server;
  CacheClient first(server, 1), second(server, 2);
  first.send("KEYS *\r\nGET k:1\r\n");
  second.send("SET a b\r\nGET a\r\n");
  first.end_input();
  second.end_input();
  server.slices();
  CHECK(first.take_output().ends_with("$7\r\nvalue:1\r\n"));
  CHECK(second.take_output() == "+OK\r\n$1\r\nb\r\n");
  first.close_if_finished();
  second.close_if_finished();
  CHECK_FALSE(first.open());
  CHECK_FALSE(second.open());
}

TEST_CASE("a client that is killed while it waits for a database executes nothing", "[long]") {
  Core server;
  CacheClient first(server, 1);
  test::CoreClient broker(*server.core, 4);
  first.send("KEYS *\r\n");
  {
    CacheClient second(server, 2);
    second.send("SET a b\r\n");
    broker.send("CLIENT KILL ADDR 127.0.0.1:2\r\n");
    second.close_if_finished();
    CHECK_FALSE(second.open());
  }
  server.slices();
  CHECK_FALSE(server.cache().find_raw("a"));
}

TEST_CASE("transactions wait for the databases that they touch or depend on", "[long]") {
  Core server;
  CacheClient first(server, 1), second(server, 2), third(server, 3);
  third.send("WATCH k:1\r\nSELECT 2\r\nMULTI\r\nSET a b\r\nEXEC\r\n");
  CHECK(third.take_output().ends_with("*1\r\n+OK\r\n"));
  third.send("SELECT 1\r\nWATCH k:99\r\nSELECT 2\r\nMULTI\r\nSET a c\r\n");
  third.take_output();
  first.send("DEL k:0 k:1 k:2 k:3 k:4 k:5 k:6 k:7 k:8 k:99\r\n");
  second.send("MULTI\r\nGET k:1\r\nEXEC\r\n");
  CHECK(second.take_output() == "+OK\r\n+QUEUED\r\n");
  third.send("EXEC\r\n");
  CHECK(third.output_size() == 0);
  // Transactions that touch no data do not wait.
  test::CoreClient fourth(*server.core, 5);
  fourth.send("SELECT 1\r\nMULTI\r\nPING\r\nEXEC\r\n");
  CHECK(fourth.take_output() == "+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n");
  server.slices();
  CHECK(second.take_output() == "*1\r\n$-1\r\n");
  CHECK(third.take_output() == "*-1\r\n");
}

TEST_CASE("transactions and scripts are not divided, and what they come upon goes on to its end first", "[long]") {
  Core server;
  CacheClient first(server, 1);
  test::CoreClient broker(*server.core, 2);
  first.send("SDIFFSTORE copy set\r\n");
  CHECK(server.cache().locked());
  SECTION("a script") {
    broker.send("EVAL \"redis.call('SELECT', 1) return redis.call('SCARD', 'copy')\" 0\r\n");
    CHECK(broker.take_output() == ":100\r\n");
  }
  SECTION("a transaction") {
    broker.send("MULTI\r\nSELECT 1\r\nSCARD copy\r\nKEYS k:*\r\nEXEC\r\n");
    const std::string output = broker.take_output();
    CHECK(output.find("*3\r\n+OK\r\n:100\r\n*100\r\n") != output.npos);
  }
  SECTION("FLUSHALL in a script") {
    broker.send("EVAL \"return redis.call('FLUSHALL')\" 0\r\n");
    CHECK(broker.take_output() == "+OK\r\n");
    CHECK(server.cache().size() == 0);
  }
  CHECK_FALSE(server.cache().locked());
  CHECK(first.take_output() == ":100\r\n");
}

TEST_CASE("who wants several databases waits until they are free, and goes before new long commands", "[long]") {
  const std::string request = GENERATE(as<std::string>(), "FLUSHALL", "SWAPDB 0 1", "COPY a here DB 1", "MOVE a 1", "CLIENT PAUSE 0",
                                       "BGSAVE", "DEBUG DIGEST");
  INFO(request);
  Core server;
  CacheClient first(server, 1);
  test::CoreClient broker(*server.core, 2), third(*server.core, 3);
  broker.send("SET a b\r\n");
  third.send("SELECT 2\r\n");
  broker.take_output();
  third.take_output();
  std::string order;
  const auto note = [&order](char client) {
    if (order.find(client) == order.npos) order += client;
  };
  first.on_output = [&] { note('1'); };
  broker.on_output = [&] { note('2'); };
  third.on_output = [&] { note('3'); };
  first.send("SRANDMEMBER set -100\r\n");
  broker.send(request + "\r\n");
  third.send("RPUSH list 1 2 3 4 5 6 7 8 9\r\n");
  CHECK(order.empty());
  server.slices();
  server.core->run_timeouts();  // which end the pause
  server.slices();
  first.take_output();
  CHECK(order == "123");
}

TEST_CASE("clients who wait for a key of a locked database are served at its end", "[long]") {
  Core server;
  CacheClient blocked(server, 1), pusher(server, 2);
  test::CoreClient broker(*server.core, 3);
  blocked.send("BLPOP list 0\r\n");
  pusher.send("RPUSH list a b c d e f g h i j k l\r\n");
  CHECK(server.cache().locked());
  for (int i = 0; i < 5; ++i) broker.send("SET a b\r\n");
  CHECK(blocked.output_size() == 0);
  server.slices();
  CHECK(blocked.take_output() == "*2\r\n$4\r\nlist\r\n$1\r\na\r\n");
  CHECK(pusher.take_output() == ":12\r\n");
}

TEST_CASE("messages and monitors' lines do not come into the middle of a reply in slices", "[long]") {
  Core server;
  CacheClient client(server, 1);
  test::CoreClient broker(*server.core, 2);
  client.send("HELLO 3\r\nSUBSCRIBE news\r\nSMEMBERS set\r\n");
  client.take_output();
  broker.send("PUBLISH news today\r\n");
  CHECK(client.take_output() == ">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\ntoday\r\n");
  server.slices();
  CHECK(client.take_output().starts_with("~100\r\n"));
}

TEST_CASE("CLIENT REPLY holds for replies in slices", "[long]") {
  Core server;
  CacheClient client(server, 1);
  client.send("CLIENT REPLY SKIP\r\nSMEMBERS set\r\nSCARD set\r\n");
  server.slices();
  CHECK(client.take_output() == ":100\r\n");
  client.send("CLIENT REPLY OFF\r\nSMEMBERS set\r\nCLIENT REPLY ON\r\n");
  server.slices();
  CHECK(client.take_output() == "+OK\r\n");
}

TEST_CASE("nothing expires in a database that is locked", "[long]") {
  Core server;
  CacheClient client(server, 1);
  client.send("SET short x PX 10\r\nKEYS short\r\n");
  server.clock.advance_ms(20);
  server.core->tick();
  CHECK(server.cache().find_raw("short"));
  server.slices();
  CHECK(client.take_output() == "+OK\r\n*1\r\n$5\r\nshort\r\n");
  server.core->tick();
  CHECK_FALSE(server.cache().find_raw("short"));
}

TEST_CASE("who waits for its turn is not idle", "[long]") {
  Core server({"--timeout", "1"});
  CacheClient first(server, 1), second(server, 2), third(server, 3);
  first.send("KEYS *\r\n");
  second.send("GET k:1\r\n");
  server.clock.advance_ms(5000);
  server.core->tick();
  // A server that has not listened for so long reads first what its clients have said meanwhile.
  CHECK(third.open());
  server.clock.advance_ms(100);
  server.core->tick();
  for (test::CoreClient* client : {&first, &second, &third}) client->close_if_finished();
  CHECK(first.open());
  CHECK(second.open());
  CHECK_FALSE(third.open());
  server.slices();
  CHECK(second.take_output() == "$7\r\nvalue:1\r\n");
}

TEST_CASE("a snapshot waits for changes in slices, and for nothing else", "[long]") {
  Core server;
  CacheClient client(server, 1);
  test::CoreClient broker(*server.core, 2);
  client.send("SMEMBERS set\r\n");
  server.core->durability.schedule_save();
  server.core->tick();
  CHECK(server.core->durability.saving());
  server.slices();
  while (server.core->durability.saving()) server.clock.advance_ms(10), server.core->tick(), server.core->end_turn();
  client.take_output();

  client.send("SUNIONSTORE copy set\r\n");
  server.core->durability.schedule_save();
  server.core->tick();
  CHECK_FALSE(server.core->durability.saving());
  // Who would change much now lets the snapshot go first.
  test::CoreClient other(*server.core, 3);
  other.send("SELECT 2\r\nRPUSH list 1 2 3 4 5 6 7 8 9\r\n");
  CHECK(other.take_output() == "+OK\r\n");
  server.slices();
  CHECK(client.take_output() == ":100\r\n");
  CHECK(other.output_size() == 0);
  server.core->tick();
  CHECK(server.core->durability.saving());
  server.core->tick();
  server.slices();
  CHECK(other.take_output() == ":9\r\n");
}

TEST_CASE("the server ends in the middle of commands in slices", "[long]") {
  Core server;
  CacheClient reader(server, 1);
  test::CoreClient broker(*server.core, 2), other(*server.core, 3);
  reader.send("SUNION set set\r\n");
  other.send("SELECT 2\r\nRPUSH list 1 2 3 4 5 6 7 8 9\r\n");
  CHECK(server.core->database(2).locked());
  SECTION("by SHUTDOWN, before which changes end") {
    broker.send("SHUTDOWN NOSAVE\r\n");
    CHECK(server.host.ended == 0);
    CHECK(other.take_output() == "+OK\r\n:9\r\n");
    CHECK(server.cache().locked());
  }
  SECTION("at once") {}
}

TEST_CASE("there are bounds to how many commands are in slices", "[long]") {
  Core server({"--databases", "40"});
  std::vector<std::unique_ptr<test::CoreClient>> clients;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(std::make_unique<test::CoreClient>(*server.core, i + 1));
    clients.back()->send("SELECT " + std::to_string(i) + "\r\nSADD s 1 2 3 4 5 6 7 8 9 10 11\r\n");
  }
  size_t locked = 0;
  for (const auto& db : server.core->databases) locked += db->locked();
  CHECK(locked <= limits::kLongCommands);
  server.slices();
  for (const auto& client : clients) CHECK(count(client->take_output(), ":11\r\n") <= 1);
  for (const auto& db : server.core->databases) CHECK(db->find_raw(db->index() == 1 ? "set" : "s"));
}

TEST_CASE("what commands hold for their work is bounded", "[long]") {
  Core server;
  test::CoreClient first(*server.core, 1), second(*server.core, 2), third(*server.core, 3);
  // Of the tables only what the first slices write is ever touched.
  const auto prepare = [](test::CoreClient& client, int database, int length) {
    client.send("SELECT " + std::to_string(database) + "\r\nSETRANGE a " + std::to_string(length - 1) + " x\r\nSETRANGE b " +
                std::to_string(length - 1) + " x\r\n");
    client.take_output();
  };
  prepare(first, 2, 10'000);
  prepare(second, 3, 8'000);
  prepare(third, 4, 1'000);
  first.send("LCS a b LEN\r\n");
  CHECK(first.waits());
  second.send("LCS a b LEN\r\n");
  server.core->slice();
  server.core->slice();
  CHECK(second.take_output() == "-OOM command not allowed while other commands hold too much memory for their work\r\n");
  third.send("LCS a b LEN\r\n");
  server.core->slice();
  CHECK(third.waits());
  if (server::heap_is_counted()) {
    CHECK(server.core->long_commands.memory() > 10'001ul * 10'001 * 4);
    CHECK(server.core->memory_limit.not_counted() >= server.core->long_commands.memory());
  }
  // Who goes away gives it back.
  server.core->disconnect(*server.core->find_session(2), false);
  first.close_if_finished();
  CHECK_FALSE(first.open());
  second.send("LCS a b LEN\r\n");
  CHECK(second.waits());
  CHECK(second.take_output().empty());
}
