// The same random commands of several clients to two servers: one that executes each in one piece, and one that stands still
// wherever it can and hears the other clients meanwhile. In the order in which the second one has executed them, the first one has to
// give the same replies, hold the same data, count the same, and carry the same effects.

#include <catch2/catch.hpp>
#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core_client.h"
#include "grammar.h"
#include "random_history.h"
#include "reply.h"
#include "server/commands/families.h"
#include "server/server.h"
#include "simulated_disk.h"

using namespace quartet;

namespace {

constexpr size_t kClients = 4;

/// The effects of each database by itself: those of different databases may have another order.
struct Effects final : persistence::Sink {
  void append(const persistence::Effect& effect) override {
    std::string& log = by_database[effect.database];
    for (const std::string_view argument : effect.arguments) log.append(argument).append(" ");
    log += '\n';
  }
  void begin_unit() override {}
  void end_unit() override {}
  void abandon_unit() override {}
  std::map<int, std::string> by_database;
};

struct Client {
  Client(server::Server& core, int port) : connection(core, port) {}
  test::Reply receive() {
    replies.feed(connection.take_output());
    auto reply = replies.next();
    REQUIRE(reply);
    REQUIRE(replies.pending().empty());
    return *reply;
  }
  test::CoreClient connection;
  test::ReplyReader replies;
};

struct Side {
  Side() : log(clock) {
    log.set_level(LogLevel::Warning);
    REQUIRE_FALSE(config.load({"--save", "", "--enable-debug-command", "yes", "--databases", "3", "--hash-max-listpack-entries", "8",
                               "--set-max-intset-entries", "8", "--zset-max-listpack-entries", "8"}));
    core = std::make_unique<server::Server>(clock, log, config, disk, background, host, server::all_families());
    core->feed.add(effects);
    for (size_t i = 0; i < kClients; ++i) clients[i] = std::make_unique<Client>(*core, static_cast<int>(i) + 1);
    clients[1]->connection.send("HELLO 3\r\n");
    clients[1]->receive();
  }
  ~Side() { core->feed.remove(effects); }
  std::string digest() {
    Client client(*core, 9);
    client.connection.send("DEBUG DIGEST\r\n");
    return client.receive().text;
  }

  ManualClock clock;
  Log log;
  server::ConfigStore config;
  test::SimulatedDisk disk{1};
  test::ImmediateBackground background;
  test::EndingHost host;
  Effects effects;
  std::unique_ptr<server::Server> core;
  std::array<std::unique_ptr<Client>, kClients> clients;
};

class History {
 public:
  explicit History(uint64_t seed) : random_(seed), grammar_(true) {
    divided_.core->long_commands.set_bounds({.work = 0, .slice_us = 0});
    for (size_t i = 0; i < kClients; ++i)
      divided_.clients[i]->connection.on_output = [this, i] {
        // A client has one command at a time.
        if (pending_[i] && std::find(ended_.begin(), ended_.end(), i) == ended_.end()) ended_.push_back(i);
      };
  }

  void run(size_t commands) {
    for (size_t sent = 0; sent < commands;) {
      const size_t at = random_.below(kClients);
      if (!pending_[at] && random_.percent(50)) {
        send(at);
        ++sent;
      } else {
        pauses_ += divided_.core->slice();
      }
      follow();
      step_snapshot();
      if (idle() && random_.percent(5)) pass_time();
      if (idle() && random_.percent(1)) compare();
    }
    while (!idle()) {
      divided_.core->slice();
      step_snapshot();
      follow();
    }
    divided_.core->end_snapshot();
    compare();
  }
  /// So many clients had a command under way at once, and so often one stood still.
  size_t most_pending() const { return most_pending_; }
  size_t pauses() const { return pauses_; }

 private:
  bool idle() const {
    return std::none_of(pending_.begin(), pending_.end(), [](const auto& command) { return command.has_value(); });
  }

  test::Command next_command(size_t at) {
    bool& in_transaction = in_transaction_[at];
    if (random_.percent(in_transaction ? 20 : 4)) {
      if (!in_transaction && random_.percent(50)) return {{"WATCH", "s" + std::to_string(random_.below(4))}, test::Agreement::exact};
      in_transaction = !in_transaction;
      return {{in_transaction ? "MULTI" : random_.percent(85) ? "EXEC" : "DISCARD"}, test::Agreement::exact};
    }
    for (;;) {
      test::Command command = grammar_.command(random_);
      // Who waits for a key would hold up the history.
      const std::string& name = command.arguments[0];
      if ((name.starts_with("B") && !name.starts_with("BIT")) || name == "HELLO") continue;
      if (command.agreement == test::Agreement::exact && random_.percent(4)) {
        std::vector<std::string> script = {"EVAL", "return redis.pcall(unpack(ARGV))", "0"};
        script.insert(script.end(), command.arguments.begin(), command.arguments.end());
        command.arguments = std::move(script);
      }
      return command;
    }
  }

  void send(size_t at) {
    pending_[at] = next_command(at);
    divided_.clients[at]->connection.send(test::encode_command(pending_[at]->arguments));
    most_pending_ = std::max<size_t>(most_pending_, std::count_if(pending_.begin(), pending_.end(), [](const auto& each) { return each.has_value(); }));
  }

  /// The other server does what this one has done, in the same order.
  void follow() {
    for (; !ended_.empty(); ended_.pop_front()) {
      const size_t at = ended_.front();
      const test::Command command = *pending_[at];
      pending_[at].reset();
      const test::Reply divided = divided_.clients[at]->receive();
      whole_.clients[at]->connection.send(test::encode_command(command.arguments));
      const test::Reply whole = whole_.clients[at]->receive();
      INFO("client " << at << ": " << test::quoted(test::encode_command(command.arguments)));
      INFO("divided: " << test::to_text(divided) << "\nwhole: " << test::to_text(whole));
      if (command.arguments[0] == "EXEC" && divided.items.size() == queued_[at].size() && whole.items.size() == queued_[at].size()) {
        REQUIRE_FALSE(test::first_disagreement(queued_[at], divided, whole));
      } else {
        REQUIRE(test::agree(command.agreement == test::Agreement::near_seconds ? test::Agreement::exact : command.agreement, divided, whole));
      }
      if (divided.text == "QUEUED") queued_[at].push_back(command);
      else if (command.arguments[0] == "MULTI" || command.arguments[0] == "EXEC" || command.arguments[0] == "DISCARD") queued_[at].clear();
    }
  }

  /// Snapshots are taken of the divided one all the time, and have every key that there was at their beginning.
  void step_snapshot() {
    server::Server& core = *divided_.core;
    if (!core.snapshot && !core.long_commands.writing() && random_.percent(20)) {
      std::vector<storage::Keyspace*> keyspaces;
      for (const auto& db : core.databases) keyspaces.push_back(db.get());
      core.snapshot = std::make_unique<persistence::Snapshot>(keyspaces, persistence::Snapshot::Facts{}, false,
                                                              persistence::Snapshot::Bounds{.large_bytes = 512, .chunk_bytes = SIZE_MAX, .chunks = 1});
    }
    if (!core.snapshot) return;
    if (core.step_snapshot(200) != persistence::Snapshot::State::Done) return;
    CHECK(core.snapshot->entries_written() == core.snapshot->entries());
    core.end_snapshot();
  }

  void pass_time() {
    const auto ms = static_cast<int64_t>(random_.below(2000));
    for (Side* side : {&divided_, &whole_}) {
      side->clock.advance_ms(ms);
      side->core->tick();
    }
  }

  void compare() {
    CHECK(divided_.digest() == whole_.digest());
    for (const auto& db : divided_.core->databases) {
      size_t bytes = db->table_memory();
      db->for_each([&](const storage::Entry& entry) {
        bytes += storage::memory_of(entry);
        return true;
      });
      CHECK(db->memory() == bytes);
    }
    const server::Statistics &a = divided_.core->stats, &b = whole_.core->stats;
    for (const auto counter : {&server::DatabaseStatistics::keyspace_hits, &server::DatabaseStatistics::keyspace_misses,
                               &server::DatabaseStatistics::expired_keys, &server::DatabaseStatistics::dirty})
      CHECK(a.sum(counter) == b.sum(counter));
    CHECK(a.error_replies == b.error_replies);
    CHECK(divided_.effects.by_database == whole_.effects.by_database);
    divided_.effects.by_database.clear();
    whole_.effects.by_database.clear();
  }

  test::Random random_;
  test::Grammar grammar_;
  Side divided_, whole_;
  std::array<std::optional<test::Command>, kClients> pending_;
  std::array<std::vector<test::Command>, kClients> queued_;
  std::array<bool, kClients> in_transaction_{};
  std::deque<size_t> ended_;
  size_t most_pending_ = 0, pauses_ = 0;
};

}  // namespace

TEST_CASE("commands in slices do what they do in one piece", "[long]") {
  for (uint64_t run = 0; run < 4; ++run) {
    const uint64_t seed = test::history_seed() + run;
    CAPTURE(seed);
    History history(seed);
    history.run(20000);
    CHECK(history.most_pending() == kClients);
    CHECK(history.pauses() > 10000);
  }
}
