// What follows from a command, however it was executed: in slices, in a transaction or script, for a client that has waited, or from a
// file; and what follows where memory runs out in it.

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "core_client.h"
#include "durability_fixture.h"
#include "server/commands/families.h"
#include "server/server.h"
#include "simulated_disk.h"

using namespace quartet;
using server::Context;
using test::HeldBackground;

namespace {

class StoppingHost final : public server::Host {
 public:
  void stop(int) override {}
};

// --- Commands in which memory runs out --------------------------------------------------------------------------------

/// FAIL.READ: in the middle of its reply.
void fail_read(Context& ctx) {
  ctx.reply.array(3);
  ctx.reply.ok();
  throw std::bad_alloc();
}

/// FAIL.WRITE key: it has set the key, and told nobody.
void fail_write(Context& ctx) {
  server::Handler set = ctx.server.commands.find("set")->spec->handler;
  const std::string_view args[] = {"SET", ctx.arg(1), "half"};
  Context other{ctx.server, ctx.session, *ctx.server.commands.find("set"), args, ctx.reply, ctx.now, ctx.database};
  set(other);
  throw std::bad_alloc();
}

/// FAIL.SLICES key: the same, in slices.
void fail_slices(Context& ctx) {
  if (ctx.takes_long(1'000'000)) return;
  for (int i = 0; i < 10; ++i) ctx.breathe();
  fail_write(ctx);
}

/// FAIL.BLOCK key: waits for a list, and fails when it is served.
void fail_block(Context& ctx) {
  const std::string_view keys[] = {ctx.arg(1)};
  ctx.block(keys, 0, [](Context&, std::string_view) -> bool { throw std::bad_alloc(); });
}

/// FAIL.LENGTH: as containers do that are to hold more than they can.
void fail_length(Context&) { throw std::length_error("vector::reserve"); }

constexpr server::KeySpec kOneKey[] = {server::key_at(1, server::kKeyRW)};
constexpr server::Command kFailing[] = {
    {.name = "fail.read", .arity = 1, .flags = server::kReadOnly, .categories = 0, .group = "test", .since = "1.0.0", .summary = "",
     .syntax = "", .complexity = "", .handler = fail_read},
    {.name = "fail.write", .arity = 2, .flags = server::kWrite, .categories = 0, .group = "test", .since = "1.0.0", .summary = "",
     .syntax = "key", .complexity = "", .handler = fail_write, .keys = kOneKey},
    {.name = "fail.slices", .arity = 2, .flags = server::kWrite, .categories = 0, .group = "test", .since = "1.0.0", .summary = "",
     .syntax = "key", .complexity = "", .handler = fail_slices, .keys = kOneKey},
    {.name = "fail.block", .arity = 2, .flags = server::kWrite, .categories = 0, .group = "test", .since = "1.0.0", .summary = "",
     .syntax = "key", .complexity = "", .handler = fail_block, .keys = kOneKey},
    {.name = "fail.length", .arity = 1, .flags = server::kReadOnly, .categories = 0, .group = "test", .since = "1.0.0", .summary = "",
     .syntax = "", .complexity = "", .handler = fail_length},
};

std::vector<std::span<const server::Command>> families() {
  const auto all = server::all_families();
  std::vector<std::span<const server::Command>> with(all.begin(), all.end());
  with.push_back(kFailing);
  return with;
}

constexpr std::string_view kOom = "-OOM command failed: the server is out of memory\r\n";

// --- The server -------------------------------------------------------------------------------------------------------

/// Every database under `always`, the second with a `default-ttl`.
struct Core {
  Core() : log(clock) {
    log.set_level(LogLevel::Warning);
    static_cast<void>(log.open("/dev/null"));
    REQUIRE(disk.make_directory("/tmp"));
    REQUIRE(disk.sync_directory(""));
    REQUIRE_FALSE(config.load({"--dir", "/tmp", "--databases", "3", "--appendonly", "yes", "--appendfsync", "always", "--save", "",
                               "--db.1.default-ttl", "3600", "--enable-debug-command", "yes"}));
    start();
    settle();
  }
  void start() {
    core.emplace(clock, log, config, disk, background, host, all);
    REQUIRE_FALSE(core->durability.open());
    while (core->durability.loading()) core->tick();
  }
  /// The process is killed, and its files are loaded.
  void restart() {
    disk.cut_power();
    core.reset();
    background.jobs.clear();
    disk.restart();
    start();
    settle();
  }
  /// Lets the other threads do everything that is asked of them in this turn, and what follows from it.
  void work() {
    core->end_turn();
    while (!background.jobs.empty()) {
      const HeldBackground::Job job = std::move(background.jobs.front());
      background.jobs.pop_front();
      job.work();
      job.done();
      core->end_turn();
    }
  }
  void settle() {
    for (int turns = 0; turns < 20; ++turns) {
      clock.advance_ms(100);
      core->tick();
      while (core->slice()) {
      }
      work();
    }
  }
  std::string ask(const std::string& request) {
    test::CoreClient client(*core, 100);
    client.send(request + "\r\n");
    settle();
    return client.take_output();
  }

  ManualClock clock;
  Log log;
  server::ConfigStore config;
  test::SimulatedDisk disk{1};
  HeldBackground background;
  StoppingHost host;
  std::vector<std::span<const server::Command>> all = families();
  std::optional<server::Server> core;
};

}  // namespace

// --- In slices --------------------------------------------------------------------------------------------------------

TEST_CASE("a command in slices that makes a key with a default expiry is answered and kept", "[execution]") {
  Core server;
  server.core->long_commands.set_bounds({.work = 10, .slice_us = 0});
  std::string request = "SELECT 1\r\nSADD set";
  for (int i = 0; i < 1000; ++i) request += fmt::format(" m{}", i);
  CHECK(server.ask(request + "\r\nTTL set") == "+OK\r\n:1000\r\n:3600\r\n");
  server.restart();
  CHECK(server.ask("SELECT 1\r\nSCARD set") == "+OK\r\n:1000\r\n");
  CHECK(server.core->database(1).find_raw("set")->expires());
}

TEST_CASE("a command goes on in slices after its client and its user have gone", "[execution]") {
  Core server;
  server.core->long_commands.set_bounds({.work = 10, .slice_us = 0});
  std::string push = "RPUSH list";
  for (int i = 0; i < 100; ++i) push += fmt::format(" {}", i);
  CHECK(server.ask(push + "\r\nMSET w3 1 w1 2 w2 3\r\nSELECT 2\r\nDEBUG POPULATE 100") == ":100\r\n+OK\r\n+OK\r\n+OK\r\n");
  CHECK(server.ask("ACL SETUSER worker on nopass ~* +@all") == "+OK\r\n");
  test::CoreClient first(*server.core, 1);
  first.send("SELECT 2\r\nKEYS *\r\n");
  {
    // Others are in slices already, so that this one has not had its first when its client goes.
    test::CoreClient worker(*server.core, 2);
    worker.send("AUTH worker x\r\nSORT list BY w* STORE sorted\r\n");
    CHECK(server.core->database(0).locked());
  }
  test::CoreClient admin(*server.core, 3);
  admin.send("ACL DELUSER worker\r\n");
  CHECK(admin.take_output() == ":1\r\n");
  server.settle();
  CHECK_FALSE(server.core->database(0).locked());
  CHECK(first.take_output().starts_with("+OK\r\n*100\r\n"));
}

// --- What replies wait for --------------------------------------------------------------------------------------------

TEST_CASE("replies that tell of no data do not wait for the disk", "[execution]") {
  Core server;
  test::CoreClient writer(*server.core, 1);
  writer.send("SET key value\r\n");
  server.core->end_turn();
  CHECK(writer.output_size() == 0);
  const auto asks = [&](const std::string& request) {
    test::CoreClient client(*server.core, 2);
    client.send(request + "\r\n");
    return client.output_size() > 0;
  };
  for (const std::string request :
       {"PING", "INFO", "CONFIG GET maxmemory", "SELECT 1", "ECHO x", "CLIENT ID", "COMMAND COUNT", "TIME", "WATCH key", "MULTI",
        "SUBSCRIBE c", "PUBLISH c m", "DB LIST", "MEMORY STATS", "EVAL \"return 1\" 0", "EVAL_RO \"return 1\" 0", "SCRIPT LOAD \"return 1\"",
        "NOSUCH", "GET", "DEBUG SLEEP 0", "ACL WHOAMI", "SELECT 1\r\nMULTI\r\nPING\r\nEXEC"}) {
    INFO(request);
    CHECK(asks(request));
  }
  for (const std::string request :
       {"GET key", "EXISTS none", "DBSIZE", "KEYS *", "SCAN 0", "RANDOMKEY", "TYPE key", "OBJECT ENCODING key", "MEMORY USAGE key",
        "LPUSH key x", "EVAL \"return redis.call('get', 'key')\" 0", "EVAL_RO \"return redis.call('get', 'key')\" 0"}) {
    INFO(request);
    CHECK_FALSE(asks(request));
  }
  {
    // Replies come in their order.
    test::CoreClient client(*server.core, 3);
    client.send("GET key\r\nPING\r\n");
    CHECK(client.output_size() == 0);
    server.settle();
    CHECK(client.take_output() == "$5\r\nvalue\r\n+PONG\r\n");
  }
  CHECK(writer.take_output() == "+OK\r\n");
}

TEST_CASE("an EXEC that a change has made void waits for that change", "[execution]") {
  Core server;
  test::CoreClient watcher(*server.core, 1), writer(*server.core, 2);
  watcher.send("WATCH key\r\nMULTI\r\nPING\r\n");
  CHECK(watcher.take_output() == "+OK\r\n+OK\r\n+QUEUED\r\n");
  writer.send("SET key value\r\n");
  watcher.send("EXEC\r\n");
  CHECK(watcher.output_size() == 0);
  server.settle();
  CHECK(watcher.take_output() == "*-1\r\n");
}

TEST_CASE("what the server does by itself makes nobody wait who does not ask for it", "[execution]") {
  Core server;
  {
    test::CoreClient cache(*server.core, 1, 0);
    cache.send("set key 0 0 5\r\nvalue\r\nflush_all 1\r\n");
    server.work();
    CHECK(cache.take_output() == "STORED\r\nOK\r\n");
    server.clock.advance_ms(1500);
    server.core->tick();
    CHECK(server.core->database(0).size() == 0);
    server.work();
    // Nothing more has to be written for these to be answered.
    cache.send("get key\r\n");
    CHECK(cache.take_output() == "END\r\n");
  }
  test::CoreClient client(*server.core, 2);
  client.send("PING\r\n");
  CHECK(client.take_output() == "+PONG\r\n");
  client.send("SET key value PX 10\r\n");
  server.work();
  CHECK(client.take_output() == "+OK\r\n");
  server.clock.advance_ms(100);
  server.core->tick();
  CHECK(server.core->database(0).size() == 0);
  server.work();
  client.send("GET key\r\n");
  CHECK(client.take_output() == "$-1\r\n");
}

// --- Out of memory ----------------------------------------------------------------------------------------------------

TEST_CASE("a handler that throws is answered by an error, and leaves nothing of its reply", "[execution]") {
  Core server;
  const std::string error(kOom);
  CHECK(server.ask("FAIL.READ\r\nPING") == error + "+PONG\r\n");
  CHECK(server.ask("FAIL.LENGTH\r\nPING") == error + "+PONG\r\n");
  CHECK(server.ask("MULTI\r\nFAIL.READ\r\nPING\r\nFAIL.READ\r\nEXEC") ==
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n" + error + "+PONG\r\n" + error);
  CHECK(server.ask("EVAL \"return redis.pcall('fail.read')\" 0") == error);
  CHECK(server.ask("EVAL \"redis.pcall('fail.read') return redis.call('ping')\" 0") == "+PONG\r\n");
  CHECK(server.core->stats.errors["OOM"] == 6);
  CHECK(server.core->commands.find("fail.read")->stats.failed == 5);
}

TEST_CASE("what a handler has changed before it throws is told of", "[execution]") {
  for (const std::string command : {"FAIL.WRITE", "FAIL.SLICES"}) {
    Core server;
    INFO(command);
    CHECK(server.ask("SET old value") == "+OK\r\n");
    {
      test::CoreClient watcher(*server.core, 1);
      watcher.send("WATCH old\r\nMULTI\r\nPING\r\n");
      server.settle();
      watcher.take_output();
      CHECK(server.ask(command + " old") == kOom);
      CHECK(server.ask(command + " new") == kOom);
      watcher.send("EXEC\r\n");
      server.settle();
      CHECK(watcher.take_output() == "*-1\r\n");
    }
    CHECK(server.ask("MGET old new") == "*2\r\n$4\r\nhalf\r\n$4\r\nhalf\r\n");
    server.restart();
    CHECK(server.ask("MGET old new") == "*2\r\n$4\r\nhalf\r\n$4\r\nhalf\r\n");
  }
}

TEST_CASE("a client that is served with an exception gets the error, and the server goes on", "[execution]") {
  Core server;
  test::CoreClient waiting(*server.core, 1);
  waiting.send("FAIL.BLOCK list\r\n");
  CHECK(waiting.waits());
  CHECK(server.ask("RPUSH list x") == ":1\r\n");
  CHECK(waiting.take_output() == kOom);
  CHECK_FALSE(waiting.waits());
  CHECK(server.ask("LLEN list") == ":1\r\n");
}

TEST_CASE("a file whose loading wants more memory than there is refuses the start", "[execution]") {
  Core server;
  const std::unique_ptr<server::Session> session = server.core->make_session();
  const std::string_view args[] = {"FAIL.WRITE", "key"};
  const Result<void> outcome = server.core->replay(*session, 0, args);
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().text.find("OOM") != std::string::npos);
}
