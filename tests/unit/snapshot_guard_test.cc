#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "core_client.h"
#include "server/commands/families.h"
#include "server/server.h"
#include "simulated_disk.h"
#include "storage/set.h"

using namespace quartet;

namespace {

/// A server with a large set under the key "large" and a snapshot that has begun.
struct Core {
  Core() : log(clock), core(clock, log, config, disk, background, host, server::all_families()) {
    log.set_level(LogLevel::Warning);
    auto set = storage::SetValue::create(core.database(0), "large");
    for (int i = 0; i < 20000; ++i) set.add("member" + std::to_string(i));
    std::vector<storage::Keyspace*> keyspaces;
    for (const auto& db : core.databases) keyspaces.push_back(db.get());
    core.snapshot = std::make_unique<persistence::Snapshot>(keyspaces, persistence::Snapshot::Facts{}, false);
  }
  /// Slices until the client has an answer; how many it took.
  size_t slices_until_answer(test::CoreClient& client) {
    size_t slices = 0;
    for (; client.output_size() == 0 && core.step_snapshot(1000) == persistence::Snapshot::State::Running; ++slices) {
    }
    return slices;
  }

  ManualClock clock;
  Log log;
  server::ConfigStore config;
  test::SimulatedDisk disk{1};
  test::ImmediateBackground background;
  test::EndingHost host;
  server::Server core;
};

}  // namespace

TEST_CASE("a client that would change a large value waits until the snapshot has saved it, and no other does", "[snapshot]") {
  Core server;
  test::CoreClient writer(server.core, 1), reader(server.core, 2);
  writer.send("SADD large one\r\nPING\r\n");
  CHECK(writer.output_size() == 0);
  reader.send("SCARD large\r\nSADD small one\r\nSET string x\r\n");
  CHECK(reader.take_output() == ":20000\r\n:1\r\n+OK\r\n");
  CHECK(server.slices_until_answer(writer) > 100);
  CHECK(writer.take_output() == ":1\r\n+PONG\r\n");
}

TEST_CASE("a transaction and a script wait as a whole for large values", "[snapshot]") {
  for (const std::string request : {"MULTI\r\nSET a 1\r\nSADD large one\r\nEXEC\r\n",
                                    "EVAL \"return redis.call('SADD', KEYS[1], 'one')\" 1 large\r\n"}) {
    Core server;
    test::CoreClient writer(server.core, 1);
    writer.send(request);
    const std::string before = writer.take_output();
    CHECK(before.find(":1") == std::string::npos);
    CHECK(server.slices_until_answer(writer) > 100);
    CHECK(writer.take_output().find(":1\r\n") != std::string::npos);
  }
}

TEST_CASE("who erases or replaces a large value does not wait, and a snapshot given up lets everybody go on", "[snapshot]") {
  {
    Core server;
    test::CoreClient writer(server.core, 1);
    writer.send("SET large x\r\nDEL large\r\n");
    CHECK(writer.take_output() == "+OK\r\n:1\r\n");
    CHECK(server.core.snapshot->large_written() == 0);
  }
  Core server;
  test::CoreClient writer(server.core, 1);
  writer.send("SPOP large\r\n");
  CHECK(writer.output_size() == 0);
  server.core.end_snapshot();
  CHECK(writer.output_size() > 0);
}
