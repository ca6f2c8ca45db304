#pragma once

// A server on a disk that fails as the test says, and whose other threads work when the test says.

#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core_client.h"
#include "server/commands/families.h"
#include "server/server.h"
#include "simulated_disk.h"

namespace quartet::test {

/// Databases 0 and 1 under `always`, 2 not logged; the settings of a test come on top.
struct TestProcess {
  enum class Start : uint8_t { MayFail };
  /// Where it fails, `error` or `host.ended` says so.
  TestProcess(SimulatedDisk& disk, std::vector<std::string> options, Start)
      : log(clock), error(load(std::move(options))), core(clock, log, config, disk, background, host, server::all_families()) {
    REQUIRE_FALSE(error);
    log.set_level(LogLevel::Warning);
    static_cast<void>(log.open("/dev/null"));
    error = core.durability.open();
    while (!error && core.durability.loading() && !host.ended) core.tick();
  }
  TestProcess(SimulatedDisk& disk, std::vector<std::string> options, const std::string& while_loading = {})
      : log(clock), error(load(std::move(options))), core(clock, log, config, disk, background, host, server::all_families()) {
    REQUIRE_FALSE(error);
    log.set_level(LogLevel::Warning);
    static_cast<void>(log.open("/dev/null"));
    error = core.durability.open();
    INFO(error.value_or(""));
    REQUIRE_FALSE(error);
    if (!while_loading.empty()) {
      REQUIRE(core.durability.loading());
      connect().send(while_loading + "\r\n");
      CHECK(clients.back()->take_output() == "+OK\r\n");
    }
    while (core.durability.loading() && !host.ended) core.tick();
    if (host.ended) UNSCOPED_INFO(core.durability.load()->error());
    REQUIRE_FALSE(host.ended);
  }
  std::optional<std::string> load(std::vector<std::string> options) {
    std::vector<std::string> all = {"--dir", "/tmp", "--databases", "3", "--appendonly", "yes", "--appendfsync", "always",
                                    "--save", "", "--db.2.appendonly", "no"};
    all.insert(all.end(), options.begin(), options.end());
    return config.load(all);
  }
  /// Lets the other threads do everything, and the server what time asks for.
  void settle() {
    for (int turns = 0; turns < 20; ++turns) {
      clock.advance_ms(100);
      core.tick();
      core.end_turn();
      while (!background.jobs.empty() && !host.ended) {
        background.do_next();
        core.end_turn();
      }
    }
  }

  ManualClock clock;
  Log log;
  server::ConfigStore config;
  HeldBackground background;
  EndingHost host;
  std::optional<std::string> error;
  server::Server core;
  std::vector<std::unique_ptr<CoreClient>> clients;  // which do not outlive it

  CoreClient& connect() {
    clients.push_back(std::make_unique<CoreClient>(core, static_cast<int>(clients.size()) + 1));
    return *clients.back();
  }
};

struct DurabilityFixture {
  DurabilityFixture() {
    REQUIRE(disk.make_directory("/tmp"));
    REQUIRE(disk.sync_directory(""));
    start();
    process->settle();
  }
  void start(std::vector<std::string> options = {}) { process = std::make_unique<TestProcess>(disk, std::move(options)); }
  /// The process is killed and the power goes.
  void crash() {
    disk.cut_power();
    process.reset();
    disk.restart();
  }
  std::string ask(const std::string& request) {
    CoreClient client(process->core, 100);
    client.send(request + "\r\n");
    return client.take_output();
  }

  SimulatedDisk disk{1};
  std::unique_ptr<TestProcess> process;
};

}  // namespace quartet::test
