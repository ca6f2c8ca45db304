// What the databases are charged, and the server's own share, against what the allocator has handed out. Only where the allocator
// counts, which the sanitizers' does not.

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <fmt/format.h>
#include <string>
#include <vector>

#include "base/slab.h"
#include "config_fixture.h"
#include "core_client.h"
#include "keyspace_history.h"
#include "persistence/system_disk.h"
#include "server/commands/families.h"
#include "server/commands/memory_figures.h"
#include "server/process_info.h"
#include "server/server.h"

using namespace quartet;

namespace {

/// Histories of each test: some by default, QUARTET_HISTORIES for a long run.
int histories(int by_default) {
  const char* wanted = std::getenv("QUARTET_HISTORIES");
  return wanted ? std::atoi(wanted) : by_default;
}

int64_t bytes_in_use() { return server::heap_balance() - static_cast<int64_t>(blocks::unused_bytes()); }

}  // namespace

TEST_CASE("keyspaces are charged what the allocator has handed out for them", "[memory]") {
  if (!server::heap_is_counted()) return;
  for (int i = 0; i < histories(20); ++i) {
    const uint64_t seed = test::history_seed() + static_cast<uint64_t>(i);
    CAPTURE(seed);
    const int64_t before = bytes_in_use();
    test::KeyspaceHistory history(seed);
    for (int step = 0; step < 5000; ++step) {
      history.step();
      if (step % 500 != 0) continue;
      int64_t charged = 0;
      for (int k = 0; k < test::KeyspaceHistory::kKeyspaces; ++k) charged += static_cast<int64_t>(history.keyspace(k).memory());
      history.observer().expired_keys = {};
      const int64_t taken = bytes_in_use() - before;
      CAPTURE(step, charged, taken);
      // The test itself takes a little.
      REQUIRE(std::abs(taken - charged) <= 4096);
    }
  }
}

namespace {

/// A whole server with a log, whose clients do everything that takes and frees memory.
class History {
 public:
  explicit History(uint64_t seed) : random_(seed), log_(clock_) {
    REQUIRE_FALSE(config_.load({"--dir", folder_.path(), "--databases", "4", "--save", "", "--appendonly", "yes", "--appendfsync", "no",
                                "--db.1.maxmemory-policy", "allkeys-lru", "--db.2.maxmemory-policy", "volatile-ttl",
                                "--db.3.maxmemory-policy", "allkeys-lfu", "--db.3.appendonly", "no"}));
    log_.set_level(LogLevel::Warning);
    static_cast<void>(log_.open("/dev/null"));
    core_ = std::make_unique<server::Server>(clock_, log_, config_, disk_, background_, host_, server::all_families());
    REQUIRE_FALSE(core_->durability.open());
    while (core_->durability.loading()) core_->tick();
    for (int i = 0; i < 3; ++i) clients_.push_back(std::make_unique<test::CoreClient>(*core_, i + 1));
  }
  ~History() {
    clients_.clear();
    core_.reset();
  }

  void step() {
    test::CoreClient& client = *clients_[random_.below(clients_.size())];
    client.send(request());
    // Who does not read has replies waiting.
    if (random_.below(20) > 0) client.take_output();
    if (random_.below(10) == 0) {
      clock_.advance_ms(static_cast<int64_t>(random_.below(50)));
      core_->tick();
      core_->end_turn();
      while (!background_.jobs.empty() && random_.below(3) > 0) background_.do_next();
    }
  }
  void check() {
    const server::MemoryFigures figures = server::memory_figures(*core_);
    size_t databases = 0;
    for (const auto& db : core_->databases) databases += db->memory();
    const auto told = static_cast<double>(databases + figures.own);
    // What the test itself takes, and what is never more however much there is, counts only where there is little.
    const double allowed = 0.01 * static_cast<double>(figures.used) + 32 * 1024;
    CAPTURE(databases, figures.own, figures.used, figures.startup, figures.clients, figures.scripts, figures.log, figures.garbage, figures.snapshot, figures.buffers, figures.statistics);
    REQUIRE(std::abs(told - static_cast<double>(figures.used)) <= allowed);
  }

 private:
  std::string text(size_t longest) { return std::string(random_.below(longest + 1), static_cast<char>('a' + random_.below(26))); }
  std::string value() {
    switch (random_.below(40)) {
      case 0: return text(60'000);
      case 1: return text(5'000);
      case 2:
      case 3: return text(500);
      case 4:
      case 5: return std::to_string(random_.next() >> random_.below(64));
      default: return text(80);
    }
  }
  std::string key(char type) { return std::string(1, type) + std::to_string(random_.below(random_.below(4) ? 40 : 2000)); }
  std::string any_key() { return key("slhuz"[random_.below(5)]); }
  std::string number(uint64_t bound) { return std::to_string(random_.below(bound)); }
  std::string member() { return random_.below(3) ? "member:" + number(2000) : number(3000); }
  size_t many() { return 1 + random_.below(random_.below(4) ? 5 : 400); }

  std::vector<std::string> command() {
    std::vector<std::string> words;
    const auto with = [&](std::vector<std::string> first, auto&& add) {
      words = std::move(first);
      for (size_t i = many(); i > 0; --i) add();
      return words;
    };
    switch (random_.below(42)) {
      case 0:
      case 1:
      case 2: return {"SET", key('s'), value()};
      case 3: return {"SET", key('s'), value(), "PX", number(5000) + "1"};
      case 4: return {"APPEND", key('s'), value()};
      case 5: return {"SETRANGE", key('s'), number(3000), value()};
      case 6: return {"INCR", key('s')};
      case 7:
      case 8: return with({random_.below(2) ? "RPUSH" : "LPUSH", key('l')}, [&] { words.push_back(value()); });
      case 9: return {"LPOP", key('l'), number(300)};
      case 10: return {"LTRIM", key('l'), number(10), "-" + number(100)};
      case 11: return {"LSET", key('l'), "0", value()};
      case 12: return {"LINSERT", key('l'), "BEFORE", value(), value()};
      case 13:
      case 14: return with({"SADD", key('u')}, [&] { words.push_back(member()); });
      case 15: return with({"SADD", key('u')}, [&] { words.push_back(number(100'000)); });
      case 16: return with({"SREM", key('u')}, [&] { words.push_back(member()); });
      case 17: return {"SPOP", key('u'), number(300)};
      case 18: return {"SUNIONSTORE", key('u'), key('u'), key('u')};
      case 19:
      case 20: return with({"HSET", key('h')}, [&] { words.push_back(member()), words.push_back(value()); });
      case 21: return with({"HDEL", key('h')}, [&] { words.push_back(member()); });
      case 22:
      case 23: return with({"ZADD", key('z')}, [&] { words.push_back(number(1000)), words.push_back(member()); });
      case 24: return {"ZPOPMIN", key('z'), number(300)};
      case 25: return {"ZREMRANGEBYRANK", key('z'), number(5), number(300)};
      case 26: return {"ZUNIONSTORE", key('z'), "2", key('z'), key('u')};
      case 27: return {"DEL", any_key(), any_key()};
      case 28: return {"RENAME", any_key(), any_key()};
      case 29: return {"COPY", any_key(), any_key(), "DB", number(4), "REPLACE"};
      case 30: return {"MOVE", any_key(), number(4)};
      case 31: return {"PEXPIRE", any_key(), number(3000) + "1"};
      case 32: return {"PERSIST", any_key()};
      case 33: return {"EVAL", "redis.call('RESTORE', KEYS[2], 0, redis.call('DUMP', KEYS[1]), 'REPLACE')", "2", any_key(), any_key()};
      case 34: return {"EVAL", "for i = 1, ARGV[1] do redis.call('RPUSH', KEYS[1], i) redis.call('HSET', KEYS[2], i, ARGV[2]) end", "2", key('l'), key('h'), number(300), value()};
      case 35: return {"SORT", key('l'), "ALPHA", "STORE", key('l')};
      case 36: return {"LRANGE", key('l'), "0", "-1"};
      case 37: return {"SELECT", number(4)};
      case 38: return {"GETDEL", key('s')};
      case 39: return random_.below(4) ? std::vector<std::string>{"SWAPDB", number(3), number(3)} : std::vector<std::string>{"FLUSHDB"};
      case 40: return {random_.below(2) ? "BGSAVE" : "BGREWRITEAOF"};
      default: return {"CONFIG", "SET", "db." + number(4) + ".maxmemory", random_.below(2) ? "0" : number(4'000'000)};
    }
  }
  std::string request() {
    const std::vector<std::string> words = command();
    std::string out = fmt::format("*{}\r\n", words.size());
    for (const std::string& word : words) out += fmt::format("${}\r\n{}\r\n", word.size(), word);
    return out;
  }

  test::Folder folder_;
  Random random_;
  ManualClock clock_;
  test::HeldBackground background_;
  Log log_;
  server::ConfigStore config_;
  persistence::SystemDisk disk_;
  test::EndingHost host_;
  std::unique_ptr<server::Server> core_;
  std::vector<std::unique_ptr<test::CoreClient>> clients_;
};

}  // namespace

TEST_CASE("what the databases are charged and the server's own share are what the allocator has handed out", "[memory]") {
  if (!server::heap_is_counted()) return;
  for (int i = 0; i < histories(10); ++i) {
    const uint64_t seed = test::history_seed() + static_cast<uint64_t>(i);
    CAPTURE(seed);
    History history(seed);
    for (int step = 0; step < 3000; ++step) {
      CAPTURE(step);
      history.step();
      if (step % 100 == 99) history.check();
    }
  }
}
