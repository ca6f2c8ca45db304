#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "config_fixture.h"
#include "core_client.h"
#include "server/commands/families.h"
#include "server/server.h"
#include "simulated_disk.h"

using namespace quartet;

namespace {

/// What leaves the server: each effect with its database, units in parentheses.
class Recorder final : public persistence::Sink {
 public:
  void append(const persistence::Effect& effect) override {
    add(fmt::format("{}:{}", effect.database, fmt::join(effect.arguments, " ")));
  }
  void begin_unit() override { add("("); }
  void end_unit() override { add(")"); }
  void abandon_unit() override {}
  std::string take() { return std::exchange(text_, {}); }

 private:
  void add(std::string_view part) {
    if (!text_.empty()) text_ += ' ';
    text_ += part;
  }
  std::string text_;
};

/// Every reading of it takes `step_us`, and so does every command.
class SteppingClock final : public Clock {
 public:
  Time now() override {
    time_.wall_us += step_us;
    time_.mono_us += step_us;
    return time_;
  }
  int64_t step_us = 0;

 private:
  Time time_{1'000'000'000, 1'000'000};
};

/// A server with the databases 0 "broker" and 1 "cache", at 1000 seconds since the epoch.
struct Core {
  explicit Core(const std::vector<std::string>& options = {}) : log(clock), problem(load(options)), core(clock, log, config, disk, background, host, server::all_families()) {
    REQUIRE(problem == "OK");
    log.set_level(LogLevel::Warning);
    core.feed.add(recorder);
  }
  ~Core() { core.feed.remove(recorder); }
  std::string load(const std::vector<std::string>& options) {
    folder.write("[[database]]\nindex = 0\nname = \"broker\"\n[[database]]\nindex = 1\nname = \"cache\"\n");
    std::vector<std::string> all = {folder.file()};
    all.insert(all.end(), options.begin(), options.end());
    return test::load(config, all);
  }
  std::string ask(test::CoreClient& client, const std::string& request) {
    client.send(request + "\r\n");
    return client.take_output();
  }
  std::string ask(const std::string& request) {
    test::CoreClient client(core, 100);
    return ask(client, request);
  }
  /// One figure of DB STATS.
  std::string figure(const std::string& database, const std::string& name) {
    const std::string reply = ask("DB STATS " + database);
    const std::string before = fmt::format("${}\r\n{}\r\n", name.size(), name);
    const size_t at = reply.find(before);
    REQUIRE(at != std::string::npos);
    const size_t begin = at + before.size();
    return reply.substr(begin, reply.find("\r\n", begin) - begin);
  }

  test::Folder folder;
  SteppingClock clock;
  Log log;
  server::ConfigStore config;
  std::string problem;
  test::SimulatedDisk disk{1};
  test::ImmediateBackground background;
  test::EndingHost host;
  server::Server core;
  Recorder recorder;
};

}  // namespace

TEST_CASE("default-ttl travels as absolute times", "[roles]") {
  Core server({"--db.0.default-ttl", "100", "--db.1.default-ttl", "10"});
  test::CoreClient client(server.core, 1);
  const auto effect = [&](const std::string& request) {
    server.ask(client, request);
    return server.recorder.take();
  };
  CHECK(effect("SET key v") == "0:SET key v PXAT 1100000");
  CHECK(effect("SET key v EX 5") == "0:SET key v PXAT 1005000");
  CHECK(effect("SET key v KEEPTTL") == "0:SET key v KEEPTTL");
  CHECK(effect("SETNX nx v") == "0:SET nx v PXAT 1100000");
  CHECK(effect("GETSET key w") == "0:SET key w PXAT 1100000");
  CHECK(effect("MSET a 1 b 2") == "( 0:SET a 1 PXAT 1100000 0:SET b 2 PXAT 1100000 )");
  CHECK(effect("HSET hash f v") == "( 0:HSET hash f v 0:PEXPIREAT hash 1100000 )");
  CHECK(effect("HSET hash f w") == "0:HSET hash f w");
  CHECK(effect("PERSIST hash") == "0:PERSIST hash");
  CHECK(effect("RENAME hash other") == "0:RENAME hash other");
  CHECK(effect("INCRBYFLOAT float 1.5") == "( 0:SET float 1.5 KEEPTTL 0:PEXPIREAT float 1100000 )");
  CHECK(effect("COPY other copied DB 1") == "( 0:COPY other copied DB 1 1:PEXPIREAT copied 1010000 )");
  CHECK(effect("MULTI\r\nSADD set m\r\nEXEC") == "( 0:SADD set m 0:PEXPIREAT set 1100000 )");
  CHECK(effect("EVAL \"redis.call('ZADD', 'zset', 1, 'm')\" 0") == "( 0:ZADD zset 1 m 0:PEXPIREAT zset 1100000 )");
  CHECK(effect("SET unset v KEEPTTL") == "0:SET unset v PXAT 1100000");

  test::CoreClient waiting(server.core, 2);
  server.ask(waiting, "BLMOVE from to LEFT RIGHT 0");
  CHECK(effect("RPUSH from a") == "( 0:RPUSH from a 0:PEXPIREAT from 1100000 ) ( 0:LMOVE from to LEFT RIGHT 0:PEXPIREAT to 1100000 )");
}

TEST_CASE("nothing is carried that default-ttl does not ask for", "[roles]") {
  Core server;
  for (const auto& [request, effect] : {std::pair("SET key v", "0:SET key v"), {"SETNX nx v", "0:SET nx v"}, {"MSET a 1 b 2", "0:MSET a 1 b 2"},
                                        {"HSET hash f v", "0:HSET hash f v"}, {"RENAME key other", "0:RENAME key other"}}) {
    server.ask(request);
    CHECK(server.recorder.take() == effect);
  }
}

TEST_CASE("the guard against flushing names the database and what lifts it", "[roles]") {
  Core server({"--db.broker.flush", "protected"});
  test::CoreClient client(server.core, 1);
  server.ask(client, "SET key v");
  CHECK(server.ask(client, "FLUSHDB") ==
        "-PROTECTED FLUSHDB is refused: database broker is protected. CONFIG SET db.broker.flush allowed lifts that.\r\n");
  CHECK(server.ask(client, "FLUSHALL") ==
        "-PROTECTED FLUSHALL is refused: database broker is protected and holds keys. CONFIG SET db.broker.flush allowed lifts that.\r\n");
  CHECK(server.ask(client, "MOVE key 1") ==
        "-PROTECTED MOVE is refused: database broker is protected, and database cache is not. CONFIG SET db.broker.flush allowed lifts that.\r\n");
  CHECK(server.ask(client, "SWAPDB broker 3") ==
        "-PROTECTED SWAPDB is refused: database broker is protected, and database 3 is not. CONFIG SET db.broker.flush allowed lifts that.\r\n");
  server.recorder.take();
  CHECK(server.ask(client, "CONFIG SET db.broker.flush allowed\r\nFLUSHALL\r\nDBSIZE") == "+OK\r\n+OK\r\n:0\r\n");
  CHECK(server.ask("INFO errorstats").find("errorstat_PROTECTED:count=4\r\n") != std::string::npos);
}

TEST_CASE("what was flushed or swapped once is loaded so, whatever is protected by now", "[roles]") {
  Core server({"--db.0.flush", "protected", "--appendonly", "yes", "--dir", "/tmp"});
  REQUIRE(server.disk.make_directory("/tmp"));
  REQUIRE(server.disk.make_directory("/tmp/appendonlydir"));
  REQUIRE(server.disk.create("/tmp/appendonlydir/appendonly.aof.1.incr.aof"));
  REQUIRE(server.disk.create("/tmp/appendonlydir/appendonly.aof.manifest"));
  *server.disk.content("/tmp/appendonlydir/appendonly.aof.manifest") = "file appendonly.aof.1.incr.aof seq 1 type i\n";
  const auto request = [](const std::vector<std::string>& arguments) {
    std::string text = fmt::format("*{}\r\n", arguments.size());
    for (const std::string& argument : arguments) text += fmt::format("${}\r\n{}\r\n", argument.size(), argument);
    return text;
  };
  *server.disk.content("/tmp/appendonlydir/appendonly.aof.1.incr.aof") =
      request({"SELECT", "0"}) + request({"SET", "lost", "v"}) + request({"FLUSHALL"}) + request({"SET", "lost", "v"}) + request({"FLUSHDB"}) +
      request({"SET", "swapped", "v"}) + request({"SWAPDB", "0", "1"}) + request({"SET", "moved", "v"}) + request({"MOVE", "moved", "1"});
  REQUIRE_FALSE(server.core.durability.open());
  while (server.core.durability.loading()) server.core.tick();
  CHECK(server.core.database(0).size() == 0);
  CHECK(server.core.database(1).size() == 2);
}

TEST_CASE("a database's name is taken whatever its case, by SELECT as by CONFIG", "[roles]") {
  Core server;
  test::CoreClient client(server.core, 1);
  CHECK(server.ask(client, "SELECT Cache\r\nSET key value") == "+OK\r\n+OK\r\n");
  CHECK(server.ask(client, "CONFIG SET db.CACHE.default-ttl 10") == "+OK\r\n");
  CHECK(server.figure("cache", "keys") == ":1");
  CHECK(server.ask(client, "SELECT cach") == "-ERR value is not an integer or out of range\r\n");
}

TEST_CASE("clients of a database are counted until they leave it", "[roles]") {
  Core server({"--db.cache.maxclients", "1"});
  test::CoreClient second(server.core, 2);
  {
    test::CoreClient first(server.core, 1);
    CHECK(server.ask(first, "SELECT cache") == "+OK\r\n");
    CHECK(server.ask(second, "SELECT 1") == "-ERR max number of clients reached in database cache\r\n");
    CHECK(server.figure("cache", "clients") == ":1");
    CHECK(server.figure("broker", "clients") == ":0");
  }
  CHECK(server.figure("cache", "clients") == ":0");
  CHECK(server.ask(second, "SELECT 1") == "+OK\r\n");
  CHECK(server.ask(second, "SELECT 0\r\nSELECT 1") == "+OK\r\n+OK\r\n");
  server.ask(second, "CONFIG RESETSTAT");
  CHECK(server.figure("cache", "clients") == ":1");
}

TEST_CASE("statistics belong to the database's number", "[roles]") {
  Core server;
  test::CoreClient client(server.core, 1);
  server.ask(client, "SELECT 1\r\nSET key v\r\nGET key\r\nGET key\r\nGET nosuch");
  server.ask(client, "SWAPDB 0 1");
  CHECK(server.figure("cache", "keys") == ":0");
  CHECK(server.figure("cache", "keyspace_hits") == ":2");
  CHECK(server.figure("cache", "keyspace_misses") == ":1");
  CHECK(server.figure("cache", "read_commands") == ":3");
  CHECK(server.figure("broker", "keys") == ":1");
  CHECK(server.figure("broker", "keyspace_hits") == ":0");
  CHECK(server.figure("cache", "write_commands") == ":2");
  CHECK(server.ask("INFO stats").find("keyspace_hits:2\r\nkeyspace_misses:1\r\n") != std::string::npos);
}

TEST_CASE("bytes are those of the clients that are in the database", "[roles]") {
  Core server;
  test::CoreClient client(server.core, 1);
  server.ask(client, "SELECT cache");
  const auto before = server.core.stats.database(0).net_input_bytes;
  server.ask(client, "PING");
  CHECK(server.core.stats.database(1).net_input_bytes == 6);
  CHECK(server.core.stats.database(1).net_output_bytes == 5 + 7);  // the SELECT was answered when it was there already
  CHECK(server.core.stats.database(0).net_input_bytes == before);
}

TEST_CASE("latency spikes are told by database where it has a name", "[roles]") {
  Core server({"--latency-monitor-threshold", "1", "--slowlog-log-slower-than", "1500", "--db.cache.slowlog-log-slower-than", "500"});
  test::CoreClient client(server.core, 1);
  server.ask(client, "SELECT 3\r\nGET key");
  CHECK(server.core.latency.events().empty());
  server.clock.step_us = 1000;
  server.ask(client, "GET key");
  CHECK(server.core.latency.events().size() == 1);
  server.ask(client, "SELECT cache\r\nGET key");
  server.clock.step_us = 0;
  const auto& events = server.core.latency.events();
  REQUIRE(events.contains("fast-command@cache"));
  CHECK(events.at("fast-command@cache").samples.size() == 1);
  CHECK(events.at("fast-command@cache").max == 1);

  // Its slow log has another threshold, and only what was longer counts.
  CHECK(server.figure("3", "slow_commands") == ":0");
  CHECK(server.figure("cache", "slow_commands") == ":1");
  CHECK(server.figure("cache", "latency_p50_usec") == ":1015");  // to within 3 %
}

TEST_CASE("CONFIG REWRITE writes the settings of roles", "[roles]") {
  test::Folder folder;
  folder.write(
      "save = \"60 1\"\n"
      "# The broker.\n"
      "[[database]]\n"
      "index = 0  # the first\n"
      "flush = \"protected\"  # no task may be lost\n"
      "save = \"\"\n");
  server::ConfigStore store;
  REQUIRE(test::load(store, {folder.file()}) == "OK");
  CHECK(store.values().database[0].save_rules.empty());
  CHECK(store.values().database[1].save_rules.size() == 1);
  REQUIRE(test::set(store, {{"db.0.flush", "allowed"}, {"db.0.default-ttl", "60"}, {"db.0.maxclients", "10"}, {"db.0.save", "5 1 9 2"},
                            {"db.0.notify-keyspace-events", "KEA"}, {"db.0.slowlog-log-slower-than", "-1"}}) == "OK");
  CHECK_FALSE(store.rewrite().has_value());
  CHECK(folder.read() ==
        "save = \"60 1\"\n"
        "# The broker.\n"
        "[[database]]\n"
        "index = 0  # the first\n"
        "flush = \"allowed\"  # no task may be lost\n"
        "save = \"5 1 9 2\"\n"
        "notify-keyspace-events = \"AKE\"\n"
        "slowlog-log-slower-than = -1\n"
        "default-ttl = 60\n"
        "maxclients = 10\n");
  server::ConfigStore again;
  REQUIRE(test::load(again, {folder.file()}) == "OK");
  CHECK(again.get({"*", "db.*"}) == store.get({"*", "db.*"}));
}

TEST_CASE("the settings of roles are refused in Redis's words", "[roles]") {
  server::ConfigStore store;
  CHECK(test::reason(store, "db.0.flush", "never") == "argument(s) must be one of the following: allowed, protected");
  CHECK(test::reason(store, "db.0.default-ttl", "-1") == "argument must be between 0 and 2147483647 inclusive");
  CHECK(test::reason(store, "db.0.default-ttl", "1.5") == "argument couldn't be parsed into an integer");
  CHECK(test::reason(store, "db.0.maxclients", "-1") == "argument must be between 0 and 4294967295 inclusive");
  CHECK(test::reason(store, "db.0.notify-keyspace-events", "q") == "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
  CHECK(test::reason(store, "db.0.save", "1") == "Invalid save parameters");
  CHECK(test::set(store, {{"default-ttl", "1"}}) == "ERR Unknown option or number of arguments for CONFIG SET - 'default-ttl'");
  CHECK(test::set(store, {{"flush", "allowed"}}) == "ERR Unknown option or number of arguments for CONFIG SET - 'flush'");
  // The whole server's limit of clients is another setting.
  CHECK(test::set(store, {{"maxclients", "5"}, {"db.1.maxclients", "7"}}) == "OK");
  CHECK(store.values().maxclients == 5);
  CHECK(store.values().database[1].client_limit == 7);
  CHECK(store.values().database[0].client_limit == 0);
}
