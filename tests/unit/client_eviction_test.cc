#include "server/client_eviction.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "core_client.h"
#include "server/client_info.h"
#include "server/commands/families.h"
#include "server/server.h"
#include "simulated_disk.h"

using namespace quartet;

namespace {

struct Core {
  explicit Core(std::vector<std::string> options = {}) : log(clock) {
    std::vector<std::string> all = {"--dir", "/tmp", "--save", ""};
    all.insert(all.end(), options.begin(), options.end());
    REQUIRE_FALSE(config.load(all));
    static_cast<void>(log.open("/dev/null"));
    core = std::make_unique<server::Server>(clock, log, config, disk, background, host, server::all_families());
  }
  test::CoreClient& connect() {
    clients.push_back(std::make_unique<test::CoreClient>(*core, static_cast<int>(clients.size()) + 1));
    return *clients.back();
  }
  std::string call(test::CoreClient& client, std::string_view line) {
    client.send(std::string(line) + "\r\n");
    return client.take_output();
  }
  void limit(std::string_view value) { REQUIRE_FALSE(config.set({{"maxmemory-clients", std::string(value)}})); }
  /// A client with so many bytes of a request that is not finished.
  test::CoreClient& holding(size_t bytes) {
    test::CoreClient& client = connect();
    client.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$" + std::to_string(2 * bytes) + "\r\n" + std::string(bytes, 'x'));
    return client;
  }
  bool open(test::CoreClient& client) {
    client.close_if_finished();
    return client.open();
  }
  uint64_t evicted() const { return core->stats.evicted_clients; }
  const server::Session& newest() const { return *core->sessions().rbegin()->second; }

  ManualClock clock;
  Log log;
  server::ConfigStore config;
  test::SimulatedDisk disk{1};
  test::ImmediateBackground background;
  test::EndingHost host;
  std::unique_ptr<server::Server> core;
  std::vector<std::unique_ptr<test::CoreClient>> clients;  // which do not outlive it
};

}  // namespace

TEST_CASE("the clients that hold most are evicted first, and no more of them than is needed", "[clients]") {
  Core core;
  test::CoreClient& small = core.holding(300'000);
  test::CoreClient& middle = core.holding(1'100'000);
  test::CoreClient& large = core.holding(3'000'000);
  test::CoreClient& idle = core.connect();
  core.limit("3mb");
  CHECK_FALSE(core.open(large));
  CHECK(core.open(middle));
  CHECK(core.open(small));
  CHECK(core.evicted() == 1);
  core.limit("1mb");
  CHECK_FALSE(core.open(middle));
  CHECK(core.open(small));
  CHECK(core.call(idle, "PING") == "+PONG\r\n");
  // Nobody is locked out, however small the limit.
  core.limit("1");
  CHECK_FALSE(core.open(small));
  CHECK(core.call(idle, "PING") == "+PONG\r\n");
  CHECK(core.evicted() == 3);
}

TEST_CASE("everything that is held for a client counts", "[clients]") {
  Core core({"--maxmemory-clients", "1mb"});
  test::CoreClient& client = core.connect();
  test::CoreClient& other = core.connect();
  const std::string value(60'000, 'v');
  core.call(other, "SET value " + value);
  const auto until_closed = [&](const auto& request) {
    int round = 0;
    for (; round < 20'000 && core.open(client); ++round) request(round);
    CHECK_FALSE(core.open(client));
    CHECK(core.evicted() == 1);
    CHECK(core.call(other, "PING") == "+PONG\r\n");
    return round;
  };
  SECTION("an unfinished request") {
    client.send("*2\r\n$4\r\nECHO\r\n$4000000\r\n");
    until_closed([&](int) { client.send(value); });
  }
  SECTION("replies that are not read") {
    until_closed([&](int) { client.send("GET value\r\n"); });
  }
  SECTION("one reply, of which nothing is sent") {
    std::string request = "MGET";
    for (int i = 0; i < 30; ++i) request += " value";
    client.send(request + "\r\nSET after 1\r\n");
    CHECK(client.output_size() == 0);
    CHECK_FALSE(core.open(client));
    CHECK(core.evicted() == 1);
    CHECK(core.core->stats.output_buffer_limit_disconnections == 0);
    CHECK(core.call(other, "EXISTS after") == ":0\r\n");
  }
  SECTION("a transaction") {
    core.call(client, "MULTI");
    CHECK(until_closed([&](int) { core.call(client, "SET k " + value); }) < 20);
  }
  SECTION("watches") {
    until_closed([&](int round) { core.call(client, "WATCH " + std::string(1000, 'w') + std::to_string(round)); });
  }
  SECTION("subscriptions") {
    until_closed([&](int round) { core.call(client, "SUBSCRIBE " + std::string(1000, 's') + std::to_string(round)); });
  }
  SECTION("what is published to it") {
    core.call(client, "SUBSCRIBE channel");
    until_closed([&](int) { core.call(other, "PUBLISH channel " + value); });
  }
  SECTION("what MONITOR shows it") {
    core.call(client, "MONITOR");
    until_closed([&](int) { core.call(other, "SET value " + value); });
  }
  SECTION("the arguments of a command that waits") {
    std::string request = "BLPOP";
    for (int i = 0; i < 5000; ++i) request += " key:" + std::to_string(i);
    client.send(request + " 0\r\n");
    CHECK_FALSE(core.open(client));
    CHECK(core.core->blocked_clients() == 0);
  }
}

TEST_CASE("what a client has got rid of does not count any more", "[clients]") {
  Core core({"--maxmemory-clients", "1mb"});
  test::CoreClient& client = core.connect();
  const std::string value(60'000, 'v');
  core.call(client, "SET value " + value);
  for (int i = 0; i < 100; ++i) CHECK(core.call(client, "GET value").size() > value.size());
  for (int round = 0; round < 10; ++round) {
    core.call(client, "MULTI");
    for (int i = 0; i < 5; ++i) CHECK(core.call(client, "SET k " + value) == "+QUEUED\r\n");
    core.call(client, round % 2 ? "EXEC" : "DISCARD");
    for (int i = 0; i < 300; ++i) core.call(client, "WATCH " + std::string(300, 'w') + std::to_string(i));
    CHECK(core.call(client, "UNWATCH") == "+OK\r\n");
    for (int i = 0; i < 300; ++i) core.call(client, "SUBSCRIBE " + std::string(300, 's') + std::to_string(i));
    core.call(client, "UNSUBSCRIBE");
    core.call(client, "RESET");
  }
  CHECK(core.open(client));
  CHECK(core.newest().watch_bytes == 0);
  CHECK(core.newest().subscription_bytes == 0);
  // Clients that have gone are forgotten.
  for (int i = 0; i < 20; ++i) {
    core.holding(200'000);
    core.clients.pop_back();
  }
  CHECK(core.evicted() == 0);
  CHECK(core.open(client));
}

TEST_CASE("CLIENT NO-EVICT keeps a client, and what it holds counts", "[clients]") {
  Core core;
  test::CoreClient& kept = core.connect();
  CHECK(core.call(kept, "CLIENT NO-EVICT ON") == "+OK\r\n");
  kept.send("*2\r\n$4\r\nECHO\r\n$4000000\r\n" + std::string(2'000'000, 'x'));
  test::CoreClient& other = core.holding(100'000);
  core.limit("1mb");
  CHECK(core.open(kept));
  CHECK_FALSE(core.open(other));
  CHECK(core.evicted() == 1);
  kept.send(std::string(2'000'000, 'x') + "\r\n");
  CHECK(kept.take_output().size() > 4'000'000);  // whatever it is answered
  CHECK(core.call(kept, "CLIENT NO-EVICT OFF") == "+OK\r\n");
  kept.send("*2\r\n$4\r\nECHO\r\n$4000000\r\n" + std::string(2'000'000, 'x'));
  CHECK_FALSE(core.open(kept));
}

TEST_CASE("a share of maxmemory is no limit while there is none", "[clients]") {
  Core core({"--maxmemory-clients", "1%"});
  test::CoreClient& client = core.holding(3'000'000);
  CHECK(core.open(client));
  REQUIRE_FALSE(core.config.set({{"maxmemory", "1gb"}}));
  CHECK(core.open(client));
  REQUIRE_FALSE(core.config.set({{"maxmemory", "200mb"}}));
  CHECK_FALSE(core.open(client));
  core.limit("0");
  test::CoreClient& another = core.holding(30'000'000);
  CHECK(core.open(another));
}

TEST_CASE("CLIENT LIST says what a client holds", "[clients]") {
  Core core;
  test::CoreClient& client = core.connect();
  const server::Session& session = core.newest();
  const auto info = [&] { return server::client_info(session, core.clock.now()) + " "; };
  const auto has = [&](const std::string& field) { return info().find(" " + field + " ") != std::string::npos; };
  CHECK(has("argv-mem=0"));
  CHECK(has("omem=0"));
  CHECK(has("rbs=0"));
  CHECK(core.call(client, "CLIENT INFO").find("argv-mem=10 ") != std::string::npos);
  client.send("BLPOP zz 0\r\n");
  CHECK(has("argv-mem=8"));
  core.call(core.connect(), "RPUSH zz " + std::string(40'000, 'x'));
  CHECK(has("argv-mem=0"));
  CHECK(has("obl=16384"));
  CHECK(has("rbs=16384"));
  CHECK(has("oll=2"));
  CHECK(has("omem=" + std::to_string(session.out.beyond_first())));
  CHECK(session.out.beyond_first() > protocol::BlockPool::kBlockBytes);
  client.take_output();
  client.send("*2\r\n$4\r\nECHO\r\n$100000\r\n" + std::string(50'000, 'x'));
  CHECK(has("qbuf=" + std::to_string(session.input.size())));
  CHECK(session.input.size() == 50'023);
  CHECK(has("tot-mem=" + std::to_string(server::client_memory(session))));
  CHECK(server::client_memory(session) > 50'000);
}
