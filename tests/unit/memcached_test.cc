// What the clients of memcached's protocol see as time passes, and what their commands leave in files. The replies themselves are
// compared with those of memcached in tests/memcached.

#include "server/memcached.h"

#include <catch2/catch.hpp>
#include <deque>
#include <string>
#include <vector>

#include "core_client.h"
#include "server/commands/families.h"
#include "server/server.h"
#include "simulated_disk.h"

using namespace quartet;

namespace {

/// A disk with the directory that the servers work in.
struct Disk {
  Disk() { REQUIRE(disk.make_directory("/tmp")); }
  test::SimulatedDisk disk{1};
};

/// A server whose database 1 is open to clients of memcached's protocol, with a time of its own.
struct Process {
  explicit Process(Disk& of, std::vector<std::string> options = {}, int64_t wall_ms = 1'700'000'000'000)
      : clock(wall_ms), log(clock), error(load(std::move(options))), core(clock, log, config, of.disk, background, host, server::all_families()) {
    REQUIRE_FALSE(error);
    log.set_level(LogLevel::Warning);
    static_cast<void>(log.open("/dev/null"));
    error = core.durability.open();
    if (error) FAIL(*error);
    while (core.durability.loading() && !host.ended) core.tick();
    REQUIRE_FALSE(host.ended);
  }
  std::optional<std::string> load(std::vector<std::string> options) {
    std::vector<std::string> all = {"--dir", "/tmp", "--databases", "2", "--save", "", "--db.1.memcached-port", "11211"};
    all.insert(all.end(), options.begin(), options.end());
    return config.load(all);
  }
  void pass(int64_t ms) {
    clock.advance_ms(ms);
    core.tick();
  }
  /// Lets what is on its way to the disk get there.
  void settle() {
    for (int turns = 0; turns < 5; ++turns) {
      pass(1000);
      core.end_turn();
    }
  }

  ManualClock clock;
  Log log;
  server::ConfigStore config;
  test::ImmediateBackground background;
  test::EndingHost host;
  std::optional<std::string> error;
  server::Server core;
};

std::string ask(test::CoreClient& client, std::string_view request) {
  client.send(request);
  return client.take_output();
}

}  // namespace

TEST_CASE("items expire to the millisecond, and times are told in seconds", "[memcached]") {
  Disk disk;
  Process process(disk);
  test::CoreClient client(process.core, 1, 1), resp(process.core, 2);
  CHECK(ask(resp, "SELECT 1\r\n") == "+OK\r\n");
  CHECK(ask(client, "set k 7 10 2\r\nhi\r\n") == "STORED\r\n");
  CHECK(ask(resp, "PTTL k\r\n") == ":10000\r\n");
  process.pass(1500);
  CHECK(ask(client, "mg k t l h\r\n") == "HD t9 l1 h0\r\n");
  process.pass(3000);
  CHECK(ask(client, "mg k t l h u\r\n") == "HD t6 l3 h1\r\n");
  CHECK(ask(client, "me k\r\n").starts_with("ME k exp=-6 la=3 cas="));
  CHECK(ask(client, "touch k 1\r\n") == "TOUCHED\r\n");
  process.pass(999);
  CHECK(ask(client, "get k\r\n") == "VALUE k 7 2\r\nhi\r\nEND\r\n");
  process.pass(1);
  CHECK(ask(client, "get k\r\n") == "END\r\n");
  // Beyond 30 days it is a time of day, also one that does not fit in 32 bits.
  CHECK(ask(client, "set k 0 2592000 1\r\na\r\nmg k t\r\n") == "STORED\r\nHD t2592000\r\n");
  const int64_t now_s = process.clock.now().wall_ms() / 1000;
  CHECK(ask(client, "set k 0 " + std::to_string(now_s + 100) + " 1\r\na\r\nmg k t\r\n") == "STORED\r\nHD t100\r\n");
  CHECK(ask(client, "set k 0 4294967296 1\r\na\r\nmg k\r\n") == "STORED\r\nHD\r\n");
  CHECK(ask(resp, "PEXPIRETIME k\r\n") == ":4294967296000\r\n");
  CHECK(ask(client, "set k 0 -1 1\r\na\r\nget k\r\n") == "STORED\r\nEND\r\n");
}

TEST_CASE("flush_all waits for its delay, and the last one counts", "[memcached]") {
  Disk disk;
  Process process(disk);
  test::CoreClient client(process.core, 1, 1), resp(process.core, 2);
  CHECK(ask(resp, "SET other 1\r\n") == "+OK\r\n");
  CHECK(ask(client, "set a 0 0 1\r\na\r\nflush_all 10\r\nget a\r\n") == "STORED\r\nOK\r\nVALUE a 0 1\r\na\r\nEND\r\n");
  process.pass(9900);
  CHECK(ask(client, "set b 0 0 1\r\nb\r\nget a\r\n") == "STORED\r\nVALUE a 0 1\r\na\r\nEND\r\n");
  process.pass(100);
  CHECK(ask(client, "get a b\r\nset c 0 0 1\r\nc\r\n") == "END\r\nSTORED\r\n");
  process.pass(20000);
  CHECK(ask(client, "get c\r\nflush_all 10\r\nflush_all\r\nset d 0 0 1\r\nd\r\n") == "VALUE c 0 1\r\nc\r\nEND\r\nOK\r\nOK\r\nSTORED\r\n");
  process.pass(20000);
  CHECK(ask(client, "get c d\r\n") == "VALUE d 0 1\r\nd\r\nEND\r\n");
  CHECK(ask(resp, "GET other\r\n") == "$1\r\n1\r\n");
}

TEST_CASE("idle clients and those beyond the cap of the database are shown out", "[memcached]") {
  Disk disk;
  Process process(disk, {"--db.1.memcached-maxclients", "2", "--db.1.memcached-timeout", "10"});
  test::CoreClient first(process.core, 1, 1), second(process.core, 2, 1), third(process.core, 3, 1), resp(process.core, 4);
  CHECK_FALSE(third.open());
  CHECK(third.refusal() == "ERROR Too many open connections\r\n");
  CHECK(resp.open());
  process.pass(9000);
  CHECK(ask(second, "version\r\n").starts_with("VERSION 1.6"));
  process.pass(2000);
  first.close_if_finished();
  CHECK_FALSE(first.open());
  CHECK(second.open());
  CHECK(resp.open());
  test::CoreClient fourth(process.core, 5, 1);
  CHECK(fourth.open());
  const std::string stats = ask(fourth, "stats\r\n");
  for (const auto* line : {"STAT curr_connections 2\r\n", "STAT total_connections 3\r\n", "STAT rejected_connections 1\r\n", "STAT idle_kicks 1\r\n", "STAT max_connections 2\r\n"})
    CHECK(stats.find(line) != std::string::npos);
}

TEST_CASE("protected mode holds for clients of memcached's protocol too", "[memcached]") {
  class Unused final : public server::Connection {
    void flush_soon() override {}
    void close_soon(bool) override {}
    void resume_input() override {}
  } connection;
  Disk disk;
  Process process(disk);
  std::string_view refusal;
  const auto open = [&] { return process.core.open_session(connection, "192.0.2.1:1", "192.0.2.2:11211", 1, false, false, refusal, 1); };
  CHECK_FALSE(open());
  CHECK(refusal.starts_with("SERVER_ERROR protected mode: "));
  CHECK(refusal.ends_with("\r\n"));
  REQUIRE_FALSE(process.config.set({{"requirepass", "secret"}}));
  server::Session* session = open();
  REQUIRE(session);
  process.core.close_session(*session);
}

TEST_CASE("who wants no reply gets none of a guard either", "[memcached]") {
  Disk disk;
  Process process(disk, {"--requirepass", "secret"});
  test::CoreClient client(process.core, 1, 1);
  CHECK(ask(client, "get k\r\n") == "CLIENT_ERROR unauthenticated\r\n");
  CHECK(ask(client, "add k 0 0 1 noreply\r\na\r\nincr k 1 noreply\r\ndelete k 0 noreply\r\n") == "");
  CHECK(ask(client, "add k 0 0 7\r\nnoreply\r\n") == "CLIENT_ERROR unauthenticated\r\n");
  CHECK(ask(client, "set a 0 0 14 noreply\r\ndefault secret\r\nget k\r\n") == "STORED\r\nEND\r\n");
}

TEST_CASE("requests wait for the end of a pause, with the data that are passed over", "[memcached]") {
  Disk disk;
  Process process(disk, {"--db.1.memcached-item-size-max", "10"});
  test::CoreClient client(process.core, 1, 1), resp(process.core, 2);
  const std::string large = "set k 0 0 100\r\nget x\r\n" + std::string(93, 'x') + "\r\n";
  for (const size_t piece : {size_t{1}, size_t{10}, size_t{1000}}) {
    CHECK(ask(resp, "CLIENT PAUSE 1000 WRITE\r\n") == "+OK\r\n");
    CHECK(ask(client, "get k\r\n") == "END\r\n");
    client.send("get k\r\nset k 0 0 1\r\na\r\n" + large + "get k\r\n" + large + "set j 0 0 1\r\nb\r\nget j\r\n", piece);
    CHECK(client.take_output() == "END\r\n");
    process.pass(1001);
    process.core.run_timeouts();
    const std::string error = "SERVER_ERROR object too large for cache\r\n";
    CHECK(client.take_output() == "STORED\r\n" + error + "END\r\n" + error + "STORED\r\nVALUE j 0 1\r\nb\r\nEND\r\n");
    CHECK(ask(client, "delete j\r\n") == "DELETED\r\n");
  }
}

TEST_CASE("a change by either protocol gives an item another number", "[memcached]") {
  Disk disk;
  Process process(disk);
  test::CoreClient client(process.core, 1, 1), resp(process.core, 2);
  ask(resp, "SELECT 1\r\n");
  const auto number = [&] {
    const std::string reply = ask(client, "mg k c\r\n");
    REQUIRE(reply.starts_with("HD c"));
    return std::stoull(reply.substr(4));
  };
  CHECK(ask(client, "set k 7 0 2\r\n10\r\n") == "STORED\r\n");
  uint64_t last = number();
  CHECK(number() == last);
  // What does not change the value leaves the number; flags stay as long as the value is not replaced.
  for (const std::string command : {"EXPIRE k 100", "PERSIST k", "GET k", "GETEX k EX 100", "TOUCH k", "SETNX k 5", "APPEND z x"}) {
    ask(resp, command + "\r\n");
    CHECK(number() == last);
  }
  for (const std::string command : {"INCR k", "APPEND k 5", "SETRANGE k 0 9", "SETBIT k 7 1", "BITFIELD k SET u8 0 65", "APPEND k abc"}) {
    CAPTURE(command);
    ask(resp, command + "\r\n");
    const uint64_t now = number();
    CHECK(now > last);
    last = now;
    CHECK(ask(client, "mg k f\r\n") == "HD f7\r\n");
  }
  for (const std::string command : {"SET k 5", "SET k 6 KEEPTTL", "GETSET k 7", "SETEX k 100 8", "MSET k 9", "INCRBYFLOAT k 0.5"}) {
    CAPTURE(command);
    CHECK(ask(client, "set k 7 0 2\r\n10\r\n") == "STORED\r\n");
    last = number();
    ask(resp, command + "\r\n");
    CHECK(ask(client, "mg k f\r\n") == "HD f0\r\n");
    CHECK(number() > last);
  }
  // An item that moves takes its flags along, and its number; a copy gets one of its own.
  CHECK(ask(client, "set k 7 0 2\r\n10\r\n") == "STORED\r\n");
  last = number();
  CHECK(ask(resp, "RENAME k j\r\n") == "+OK\r\n");
  CHECK(ask(client, "mg j f c\r\n") == "HD f7 c" + std::to_string(last) + "\r\n");
  CHECK(ask(resp, "COPY j k\r\n") == ":1\r\n");
  CHECK(ask(client, "mg k f\r\n") == "HD f7\r\n");
  CHECK(number() > last);
  CHECK(ask(resp, "MOVE j 0\r\n") == ":1\r\n");
  CHECK(ask(resp, "SELECT 0\r\n") == "+OK\r\n");
  CHECK(ask(resp, "MOVE j 1\r\n") == ":1\r\n");
  CHECK(ask(client, "mg j f c\r\n") == "HD f7 c" + std::to_string(last) + "\r\n");
}

TEST_CASE("a key of another type is no item", "[memcached]") {
  Disk disk;
  Process process(disk);
  test::CoreClient client(process.core, 1, 1), resp(process.core, 2);
  ask(resp, "SELECT 1\r\n");
  const std::string wrong = "SERVER_ERROR WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
  const std::pair<std::string, std::string> cases[] = {
      {"get k\r\n", "END\r\n"},          {"gets k\r\n", "END\r\n"},
      {"gat 10 k\r\n", "END\r\n"},       {"mg k v\r\n", "EN\r\n"},
      {"me k\r\n", "EN\r\n"},            {"mg k N10 v\r\n", wrong},
      {"incr k 1\r\n", wrong},           {"decr k 1\r\n", wrong},
      {"ma k\r\n", wrong},               {"ma k N0\r\n", wrong},
      {"append k 0 0 1\r\na\r\n", wrong}, {"prepend k 0 0 1\r\na\r\n", wrong},
      {"ms k 1 MA\r\na\r\n", wrong},     {"md k I\r\n", wrong},
      {"add k 0 0 1\r\na\r\n", "NOT_STORED\r\n"}, {"cas k 0 0 1 5\r\na\r\n", "EXISTS\r\n"},
      {"ms k 1 C5\r\na\r\n", "EX\r\n"},  {"ms k 1 C5 I\r\na\r\n", "EX\r\n"},
      {"md k C5\r\n", "EX\r\n"},
  };
  CHECK(ask(resp, "RPUSH k a\r\n") == ":1\r\n");
  for (const auto& [request, reply] : cases) {
    CAPTURE(request);
    CHECK(ask(client, request) == reply);
    CHECK(ask(resp, "LRANGE k 0 -1\r\n") == "*1\r\n$1\r\na\r\n");
  }
  CHECK(ask(client, "touch k 100\r\n") == "TOUCHED\r\n");
  CHECK(ask(resp, "TTL k\r\n") == ":100\r\n");
  CHECK(ask(client, "replace k 5 0 1\r\na\r\n") == "STORED\r\n");
  CHECK(ask(resp, "GET k\r\n") == "$1\r\na\r\n");
  for (const std::string request : {"set k 5 0 1\r\na\r\n", "ms k 1 F5\r\na\r\n", "delete k\r\n", "md k\r\n"}) {
    ask(resp, "DEL k\r\n");
    CHECK(ask(resp, "RPUSH k a\r\n") == ":1\r\n");
    CHECK(ask(client, request).find("ERR") == std::string::npos);
    CHECK(ask(resp, "LLEN k\r\n") != ":1\r\n");
  }
}

TEST_CASE("what clients of memcached's protocol have made is there after a restart", "[memcached]") {
  Disk disk;
  const std::vector<std::string> options = {"--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"};
  const std::string changes =
      "set plain 0 0 2\r\nhi\r\nset flagged 4294967295 0 2\r\nhi\r\nset timed 5 1000 2\r\nhi\r\nadd added 1 0 1\r\na\r\nset n 3 0 2\r\n99\r\nincr n 1\r\n"
      "set m 3 0 3\r\n100\r\ndecr m 1\r\nset e 4 0 1\r\nb\r\nappend e 0 0 1\r\nc\r\nprepend e 0 0 1\r\na\r\nset gone 1 0 1\r\na\r\ndelete gone\r\nset past 1 0 1\r\na\r\n"
      "touch past -1\r\nset t 6 0 1\r\na\r\ntouch t 500\r\nset u 6 500 1\r\na\r\ngat 0 u\r\nset stale 8 0 1\r\na\r\nmd stale I T700\r\nset fresh 8 0 1\r\na\r\n"
      "md fresh I\r\nappend fresh 0 0 1\r\nb\r\nmg stub N800\r\nma counter N900 J5\r\nma counter\r\nms meta 2 T600 F9\r\nhi\r\nset copied 7 0 1\r\na\r\n"
      "set dropped 7 0 1\r\na\r\nset zero 0 0 1\r\na\r\nmd zero I\r\nprepend zero 0 0 1\r\nb\r\n"
      "set nought 0 0 1\r\na\r\nmd nought I\r\nappend nought 0 0 1\r\nb\r\n";
  const std::string keys[] = {"plain", "flagged", "timed", "added", "n", "m", "e", "gone", "past", "t", "u", "stale", "fresh", "stub", "counter", "meta", "copied", "copy", "dropped", "zero", "nought"};
  const auto contents = [&](Process& process) {
    test::CoreClient client(process.core, 1, 1);
    std::string all;
    for (const std::string& key : keys) all += key + ": " + ask(client, "mg " + key + " u v f t\r\n");
    return all;
  };
  std::string before;
  int64_t wall_ms;
  {
    Process process(disk, options);
    process.settle();
    test::CoreClient client(process.core, 1, 1), resp(process.core, 2);
    CHECK(ask(client, changes).find("ERR") == std::string::npos);
    CHECK(ask(resp, "SELECT 1\r\nCOPY copied copy\r\nSET dropped b\r\n") == "+OK\r\n:1\r\n+OK\r\n");
    process.settle();
    before = contents(process);
    wall_ms = process.clock.now().wall_ms();
  }
  // That a client has been told to make a stale item anew is forgotten, so that another one is told; not so of one of no bytes.
  for (const auto* line : {"flagged: VA 2 f4294967295 t-1\r\nhi\r\n", "timed: VA 2 f5 t995\r\n", "n: VA 3 f3 t-1\r\n100\r\n", "m: VA 3 f3 t-1\r\n99 \r\n", "e: VA 3 f4 t-1\r\nabc\r\n", "gone: EN\r\n",
                           "past: EN\r\n", "stale: VA 1 f8 t695 X W\r\n", "fresh: VA 2 f8 t-1\r\nab\r\n", "stub: VA 0 f0 t795 Z\r\n", "copy: VA 1 f7 t-1\r\n", "dropped: VA 1 f0 t-1\r\n", "zero: VA 2 f0 t-1\r\nba\r\n", "nought: VA 2 f0 t-1\r\nab\r\n"})
    CHECK(before.find(line) != std::string::npos);
  CHECK(contents(*std::make_unique<Process>(disk, options, wall_ms)) == before);
  {
    Process process(disk, options, wall_ms);
    test::CoreClient resp(process.core, 2);
    CHECK(ask(resp, "BGREWRITEAOF\r\n").starts_with("+Background"));
    process.settle();
    REQUIRE(process.core.durability.outcomes().rewrites == 1);
  }
  CHECK(contents(*std::make_unique<Process>(disk, options, wall_ms)) == before);
}
