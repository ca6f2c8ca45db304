// A server core whose time is the test's, and its clients.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core_client.h"
#include "server/commands/families.h"
#include "server/server.h"
#include "simulated_disk.h"

namespace quartet::test {

struct Core {
  explicit Core(std::vector<std::string> options)
      : log(clock), error(load(std::move(options))), server(clock, log, config, disk, background, host, server::all_families()) {
    REQUIRE_FALSE(error);
    static_cast<void>(log.open("/dev/null"));
    REQUIRE(disk.make_directory("/tmp"));
    error = server.durability.open();
    REQUIRE_FALSE(error);
  }
  std::optional<std::string> load(std::vector<std::string> options) {
    std::vector<std::string> all = {"--dir", "/tmp", "--save", "", "--maxclients", "20000"};
    all.insert(all.end(), options.begin(), options.end());
    return config.load(all);
  }
  CoreClient& connect() {
    clients.push_back(std::make_unique<CoreClient>(server, static_cast<int>(clients.size() % 60000) + 1));
    return *clients.back();
  }
  std::string call(CoreClient& client, std::string_view line) {
    client.send(std::string(line) + "\r\n");
    server.input.execute_received();
    std::string reply = client.take_output();
    client.close_if_finished();
    return reply;
  }
  /// Lets time pass as the reactor does.
  void advance_ms(int64_t ms) {
    for (int64_t passed = 0; passed < ms; passed += 100) {
      clock.advance_ms(100);
      server.tick();
      if (server.next_timeout_ms() == 0) server.run_timeouts();
      server.end_turn();
      for (const auto& client : clients) client->close_if_finished();
    }
  }
  size_t open() const {
    return static_cast<size_t>(std::count_if(clients.begin(), clients.end(), [](const auto& client) { return client->open(); }));
  }

  ManualClock clock;
  Log log;
  server::ConfigStore config;
  SimulatedDisk disk{1};
  ImmediateBackground background;
  EndingHost host;
  std::optional<std::string> error;
  server::Server server;
  std::vector<std::unique_ptr<CoreClient>> clients;  // which do not outlive it
};

}  // namespace quartet::test
