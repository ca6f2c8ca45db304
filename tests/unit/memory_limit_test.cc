#include "server/memory_limit.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <string>
#include <vector>

#include "core_client.h"
#include "keyspace_fixture.h"
#include "server/commands/families.h"
#include "server/server.h"
#include "simulated_disk.h"
#include "storage/string.h"

using namespace quartet;

namespace {

/// Time goes on by a little with each look at it, as far as the test says.
class PassingClock final : public Clock {
 public:
  Time now() override {
    time_.wall_us += step_us;
    time_.mono_us += step_us;
    return time_;
  }
  int64_t step_us = 0;

 private:
  Time time_{1'700'000'000'000'000, 1'000'000};
};

/// Database 0 is the broker, which evicts nothing; 1 the cache, under allkeys-lru; 2 the sessions, under volatile-lru. None has a budget.
struct Core {
  explicit Core(std::vector<std::string> options = {}) : log(clock), core(make(std::move(options))) { log.set_level(LogLevel::Warning); }

  server::Server& make(std::vector<std::string> options) {
    std::vector<std::string> all = {"--dir", "/tmp", "--databases", "4", "--save", "", "--db.1.maxmemory-policy", "allkeys-lru",
                                    "--db.2.maxmemory-policy", "volatile-lru"};
    all.insert(all.end(), options.begin(), options.end());
    REQUIRE_FALSE(config.load(all));
    server = std::make_unique<server::Server>(clock, log, config, disk, background, host, server::all_families());
    return *server;
  }

  std::string ask(const std::string& requests) {
    test::CoreClient client(core, 1);
    client.send(requests + "\r\n");
    return client.take_output();
  }
  void set(const std::string& name, const std::string& value) { REQUIRE_FALSE(config.set({{name, value}})); }
  /// Fills a database by the way of storage, so that nothing is evicted meanwhile.
  void fill(int database, int keys, size_t value_bytes = 100, int64_t expiry_ms = -1) {
    for (int i = 0; i < keys; ++i)
      storage::StringValue::assign(core.database(database), nullptr, fmt::format("{}:{}", database, i),
                                   std::string(value_bytes, 'x'), expiry_ms);
  }
  size_t size(int database) { return core.database(database).size(); }
  size_t memory(int database) { return core.database(database).memory(); }
  uint64_t evicted(int database) { return core.stats.database(database).evicted_keys; }
  void limit(int database, size_t bytes) { set(fmt::format("db.{}.maxmemory", database), std::to_string(bytes)); }

  PassingClock clock;
  Log log;
  server::ConfigStore config;
  test::SimulatedDisk disk{1};
  test::ImmediateBackground background;
  test::EndingHost host;
  std::unique_ptr<server::Server> server;
  server::Server& core;
};

const std::string kOom = "-OOM command not allowed when used memory > 'maxmemory'.";

}  // namespace

TEST_CASE("a database over its budget evicts among its own keys", "[maxmemory]") {
  Core server;
  for (int database : {0, 1, 2, 3}) server.fill(database, 1000);
  const size_t before = server.memory(1);
  server.limit(1, before / 2);
  CHECK(server.size(1) == 1000);
  CHECK(server.ask("SELECT 1\r\nSET new value\r\nGET new") == "+OK\r\n+OK\r\n$5\r\nvalue\r\n");
  CHECK(server.memory(1) <= before / 2 + 200);
  CHECK(server.memory(1) > before / 2 - 2000);
  CHECK(server.evicted(1) == 1001 - server.size(1));
  CHECK(server.core.stats.evicted_keys == server.evicted(1));
  for (int database : {0, 2, 3}) CHECK(server.size(database) == 1000);
}

TEST_CASE("eviction goes on as time passes, without any command", "[maxmemory]") {
  Core server;
  server.fill(1, 1000);
  const size_t budget = server.memory(1) / 2;
  server.limit(1, budget);
  server.core.tick();
  CHECK(server.memory(1) <= budget);
}

TEST_CASE("a database that is full and evicts nothing refuses what needs memory, and the others do not", "[maxmemory]") {
  Core server({"--db.0.maxmemory", "10000"});
  server.fill(0, 1000);
  server.fill(3, 1000);
  CHECK(server.ask("SET k v") == kOom + " Database: 0\r\n");
  CHECK(server.ask("GET 0:1") == fmt::format("$100\r\n{}\r\n", std::string(100, 'x')));
  CHECK(server.ask("SELECT 3\r\nSET k v") == "+OK\r\n+OK\r\n");
  // Its keys without an expiry cannot be evicted either.
  server.limit(2, 1);
  server.fill(2, 100);
  CHECK(server.ask("SELECT 2\r\nSET k v") == "+OK\r\n" + kOom + " Database: 2\r\n");
  CHECK(server.ask("SELECT 2\r\nEXPIRE 2:1 100\r\nSET k v\r\nSET k v") == "+OK\r\n:1\r\n" + kOom + " Database: 2\r\n" + kOom + " Database: 2\r\n");
  CHECK(server.evicted(2) == 1);
  CHECK(server.size(2) == 99);
  CHECK(server.evicted(0) == 0);
}

TEST_CASE("the error names the database", "[maxmemory]") {
  Core server;
  server.set("db.3.maxmemory", "1");
  server.fill(3, 1);
  CHECK(server.ask("SELECT 3\r\nSET k v") == "+OK\r\n" + kOom + " Database: 3\r\n");
}

TEST_CASE("under the limit of the whole server the largest database that may evict gives way, until it is as small as the next", "[maxmemory]") {
  Core server;
  server.set("db.3.maxmemory-policy", "allkeys-random");
  server.fill(0, 3000);
  server.fill(1, 2000);
  server.fill(3, 500);
  const size_t excess = server.memory(1) - server.memory(3) / 2;
  server.set("maxmemory", std::to_string(server.core.used_memory() - excess));
  CHECK(server.ask("PING") == "+PONG\r\n");
  CHECK(server.size(0) == 3000);
  CHECK(server.evicted(1) > 1400);
  CHECK(server.evicted(3) > 50);
  // They are compared by what they take, in which the tables are. Sixteen keys of one go at a time, and tables shrink in steps.
  const size_t larger = std::max(server.memory(1), server.memory(3)), smaller = std::min(server.memory(1), server.memory(3));
  CHECK(larger - smaller < 10'000);
}

TEST_CASE("the limit of the whole server refuses only where no database may evict", "[maxmemory]") {
  Core server;
  server.fill(0, 1000);
  server.fill(1, 100);
  server.set("maxmemory", "1");
  CHECK(server.ask("SET k v") == kOom + "\r\n");
  CHECK(server.size(1) == 0);  // all was evicted before
  server.set("maxmemory", "0");
  CHECK(server.ask("SET k v") == "+OK\r\n");
}

TEST_CASE("a budget is not exceeded for another database's sake", "[maxmemory]") {
  Core server;
  server.fill(0, 1000);
  server.fill(1, 1000);
  server.limit(0, server.memory(0) / 2);
  server.limit(1, server.memory(1) * 2);
  CHECK(server.ask("SET k v") == kOom + " Database: 0\r\n");
  server.core.tick();
  CHECK(server.size(1) == 1000);
}

TEST_CASE("an evicted key is told to watchers, subscribers and the feed", "[maxmemory]") {
  struct Deletions final : persistence::Sink {
    void append(const persistence::Effect& effect) override {
      for (const std::string_view argument : effect.arguments) text += fmt::format("{} ", argument);
      text += fmt::format("@{}\n", effect.database);
    }
    void begin_unit() override {}
    void end_unit() override {}
    void abandon_unit() override {}
    std::string text;
  } deletions;
  Core server;
  server.core.feed.add(deletions);
  server.set("notify-keyspace-events", "Ee");
  server.fill(1, 1);
  test::CoreClient watcher(server.core, 1), listener(server.core, 2);
  watcher.send("SELECT 1\r\nWATCH 1:0\r\n");
  listener.send("SUBSCRIBE __keyevent@1__:evicted\r\n");
  watcher.take_output();
  listener.take_output();
  server.limit(1, 1);
  server.core.tick();
  CHECK(listener.take_output() == "*3\r\n$7\r\nmessage\r\n$22\r\n__keyevent@1__:evicted\r\n$3\r\n1:0\r\n");
  watcher.send("MULTI\r\nPING\r\nEXEC\r\n");
  CHECK(watcher.take_output() == "+OK\r\n+QUEUED\r\n*-1\r\n");
  CHECK(deletions.text == "DEL 1:0 @1\n");
  server.core.feed.remove(deletions);
}

TEST_CASE("what has expired is not counted as evicted", "[maxmemory]") {
  Core server;
  server.fill(1, 100, 100, server.clock.now().wall_ms() - 1);
  server.core.active_expire = false;
  server.limit(1, 1);
  server.core.tick();
  CHECK(server.size(1) == 0);
  CHECK(server.evicted(1) == 0);
  CHECK(server.core.stats.expired_keys == 100);
}

TEST_CASE("eviction is done in slices, and commands are executed between them", "[maxmemory]") {
  Core server;
  server.fill(1, 10'000);
  server.limit(1, 100'000);
  server.clock.step_us = 10;
  CHECK(server.ask("SELECT 1\r\nSET k v") == "+OK\r\n+OK\r\n");
  // 500 us before each command by default.
  CHECK(server.evicted(1) > 30);
  CHECK(server.evicted(1) < 200);
  server.set("maxmemory-eviction-tenacity", "0");
  const uint64_t before = server.evicted(1);
  CHECK(server.ask("SELECT 1\r\nSET k v") == "+OK\r\n+OK\r\n");
  CHECK(server.evicted(1) - before <= 2);
  CHECK(server.core.tick() == 1);  // at once again
  server.set("maxmemory-eviction-tenacity", "100");
  CHECK(server.ask("SELECT 1\r\nSET k v") == "+OK\r\n+OK\r\n");
  CHECK(server.memory(1) < 101'000);
}

TEST_CASE("how long a limit was exceeded is counted", "[maxmemory]") {
  Core server;
  const auto field = [&](const std::string& name) {
    const std::string info = server.ask("INFO stats");
    return std::stoll(info.substr(info.find(name + ":") + name.size() + 1));
  };
  server.fill(0, 100);
  server.limit(0, 1);
  server.core.tick();
  server.clock.step_us = 1'000'000;
  server.clock.now();
  server.clock.step_us = 0;
  server.core.tick();
  CHECK(field("current_eviction_exceeded_time") == 1000);
  CHECK(field("total_eviction_exceeded_time") == 1000);
  server.limit(0, 0);
  server.core.tick();
  CHECK(field("current_eviction_exceeded_time") == 0);
  CHECK(field("total_eviction_exceeded_time") == 1000);
}

TEST_CASE("nothing is evicted while clients are paused", "[maxmemory]") {
  Core server;
  server.fill(1, 100);
  server.limit(1, 1);
  server.core.pause(server.clock.now().mono_ms() + 1000, true);
  server.core.tick();
  CHECK(server.ask("SELECT 1\r\nDBSIZE") == "+OK\r\n:100\r\n");
  server.core.unpause();
  server.core.tick();
  CHECK(server.size(1) == 0);
}

TEST_CASE("MOVE, COPY and SWAPDB into a full database change nothing", "[maxmemory]") {
  Core server({"--db.3.maxmemory", "1000"});
  server.fill(0, 1);
  server.fill(3, 1000);
  const std::string full = kOom + " Database: 3\r\n";
  CHECK(server.ask("MOVE 0:0 3") == full);
  CHECK(server.ask("COPY 0:0 copy DB 3") == full);
  CHECK(server.ask("MULTI\r\nMOVE 0:0 3") == "+OK\r\n" + full);
  CHECK(server.ask("EVAL \"return redis.call('MOVE', '0:0', 3)\" 0").starts_with(kOom + " Database: 3 script: "));
  CHECK(server.ask("COPY 0:0 copy") == ":1\r\n");
  CHECK(server.ask("SWAPDB 1 3") == "+OK\r\n");  // which makes room there
  CHECK(server.ask("SWAPDB 1 3") == full);
  CHECK(server.size(0) == 2);
  CHECK(server.size(1) == 1000);
  CHECK(server.ask("MOVE 0:0 3") == ":1\r\n");
  // From the full one to another.
  server.limit(3, 1);
  CHECK(server.ask("SELECT 3\r\nCOPY 0:0 copy DB 0 REPLACE\r\nMOVE 0:0 0") == "+OK\r\n:1\r\n:1\r\n");
  // A database that does not exist is its own error.
  CHECK(server.ask("SELECT 3\r\nMOVE x 17") == "+OK\r\n-ERR DB index is out of range\r\n");
}

TEST_CASE("a transaction is judged by the databases that its commands will run in", "[maxmemory]") {
  Core server({"--db.0.maxmemory", "1000"});
  server.fill(0, 1000);
  const std::string full = kOom + " Database: 0\r\n";
  CHECK(server.ask("MULTI\r\nSELECT 3\r\nSET k v\r\nEXEC") == "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n");
  CHECK(server.ask("SELECT 3\r\nMULTI\r\nSELECT 0\r\nSET k v\r\nEXEC") ==
        "+OK\r\n+OK\r\n+QUEUED\r\n" + full + "-EXECABORT Transaction discarded because of previous errors.\r\n");
  // It became full after the commands were queued.
  test::CoreClient client(server.core, 1);
  client.send("SELECT 3\r\nMULTI\r\nSET a b\r\nSELECT 0\r\nDEL x\r\n");
  client.take_output();
  server.limit(3, 1);
  client.send("EXEC\r\n");
  CHECK(client.take_output() == "-EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'. Database: 3\r\n");
}

TEST_CASE("a transaction that cannot need memory passes, but does not grow without bound in the queue", "[maxmemory]") {
  Core server({"--maxmemory", "1"});
  server.fill(0, 10);
  CHECK(server.ask("MULTI\r\nZREM unacked_index tag\r\nHDEL unacked tag\r\nEXEC") == "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:0\r\n:0\r\n");
  const std::string large = fmt::format("*2\r\n$3\r\nDEL\r\n${}\r\n{}\r\n", 600'000, std::string(600'000, 'k'));
  CHECK(server.ask("MULTI\r\n" + large + large + large + "EXEC") ==
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n" + kOom + "\r\n-EXECABORT Transaction discarded because of previous errors.\r\n");
}

TEST_CASE("scripts are refused before they write, and not after", "[maxmemory]") {
  Core server({"--db.0.maxmemory", "1"});
  server.fill(0, 2);
  const auto eval = [&](const std::string& script) { return server.ask("EVAL \"" + script + "\" 0"); };
  CHECK(eval("return redis.call('SET', 'k', 'v')").starts_with(kOom + " Database: 0 script: "));
  CHECK(eval("redis.call('DEL', '0:0') return redis.call('SET', 'k', 'v')") == "+OK\r\n");
  CHECK(eval("redis.call('SELECT', 3) return redis.call('SET', 'k', 'v')") == "+OK\r\n");
  CHECK(eval("#!lua flags=allow-oom\\nreturn redis.call('SET', 'k2', 'v')") == "+OK\r\n");
}
