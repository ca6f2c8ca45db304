#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "core_client.h"
#include "server/server.h"
#include "simulated_disk.h"

namespace quartet::test {

/// A clock that is set, and goes on by a step with each look while a script is to run long.
class SimulatedClock final : public Clock {
 public:
  Time now() override {
    advance(step_us);
    return time;
  }
  void advance(int64_t us) {
    time.wall_us += us;
    time.mono_us += us;
  }
  Time time{1'700'000'000'000'000, 1'000'000};
  int64_t step_us = 0;
};

/// A server that executes one request at a time: no files, nothing in slices, nobody waits. Each client of the simulated server has a
/// twin here, which is opened and closed at the same moment, so that both have the same id.
class Oracle {
 public:
  explicit Oracle(const std::vector<std::string>& arguments, const Time& now);

  /// A client's twin, and what it has been told that the client was not yet seen to be told.
  class Twin final : public server::Connection {
   public:
    explicit Twin(Oracle& oracle) : oracle_(oracle) {}
    void flush_soon() override { oracle_.told_.push_back(this); }
    void close_soon(bool) override {}
    void resume_input() override {}

    server::Session* session = nullptr;
    std::string told;
    uint64_t total = 0;  // bytes that it was told, ever

   private:
    Oracle& oracle_;
  };

  std::unique_ptr<Twin> open(int port, std::optional<int> memcached);
  void close(Twin& twin);

  /// Gives the bytes of one request to the server at this time; what is wrong, or nothing.
  std::string execute(Twin& twin, std::string_view bytes, const Time& now);
  /// The same for a client that was disconnected while its request was in slices. Where there is no twin any more the reply is
  /// nobody's.
  void execute_late(Twin* twin, int database, const std::vector<std::string>& arguments, const Time& now);
  /// The client was told this, which the oracle cannot know.
  void believe(Twin& twin, std::string_view bytes);
  /// Takes back what the twin was told last.
  void take_back(Twin& twin, uint64_t total);
  server::Server& server() { return *server_; }

 private:
  void gather();

  SimulatedClock clock_;
  Log log_;
  server::ConfigStore config_;
  SimulatedDisk disk_{1};
  ImmediateBackground background_;
  EndingHost host_;
  std::optional<server::Server> server_;
  std::vector<Twin*> told_;
};

}  // namespace quartet::test
