#include "in_process_backend.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "core_client.h"
#include "server/commands/families.h"
#include "server/config.h"
#include "server/server.h"
#include "simulated_disk.h"

namespace quartet::test {

namespace {

class InProcessBackend;

class InProcessConnection final : public Connection {
 public:
  InProcessConnection(InProcessBackend& backend, int port);
  ~InProcessConnection() override;
  void send(std::string_view bytes) override { client_.send(bytes); }
  Received receive(std::string& out, std::chrono::milliseconds) override;
  void close_if_finished() { client_.close_if_finished(); }

 private:
  InProcessBackend& backend_;
  CoreClient client_;
};

class InProcessBackend final : public Backend {
 public:
  InProcessBackend() : log(clock) {
    log.set_level(LogLevel::Warning);
    if (auto error = config.load({"--enable-debug-command", "yes", "--save", ""})) throw std::runtime_error(*error);
    const std::string& dir = config.values().dir;
    for (size_t end = dir.find('/', 1);; end = dir.find('/', end + 1)) {
      if (auto made = disk.make_directory(dir.substr(0, end)); !made) throw std::runtime_error(made.error().text);
      if (end == std::string::npos) break;
    }
    core = std::make_unique<server::Server>(clock, log, config, disk, background, host, server::all_families());
  }

  std::unique_ptr<Connection> connect() override { return std::make_unique<InProcessConnection>(*this, next_port_++); }
  void begin_case() override {
    clock.advance_ms(60'000);
    core->tick();
  }
  void settle() override {
    while (core->slice()) {
    }
    for (InProcessConnection* connection : connections) connection->close_if_finished();
  }
  void advance(std::chrono::milliseconds time) override {
    // In steps, as a server's timers would come.
    for (int64_t left = time.count(); left > 0;) {
      const int64_t step = std::min<int64_t>(left, 10);
      clock.advance_ms(step);
      core->run_timeouts();
      core->tick();
      left -= step;
    }
    settle();
  }

  ManualClock clock;
  Log log;
  server::ConfigStore config;
  SimulatedDisk disk{1};
  ImmediateBackground background;
  EndingHost host;
  std::unique_ptr<server::Server> core;
  std::vector<InProcessConnection*> connections;

 private:
  int next_port_ = 50000;
};

InProcessConnection::InProcessConnection(InProcessBackend& backend, int port)
    : backend_(backend), client_(*backend.core, port) {
  if (!client_.open()) throw std::runtime_error(std::string(client_.refusal()));
  backend.connections.push_back(this);
}

InProcessConnection::~InProcessConnection() { std::erase(backend_.connections, this); }

Received InProcessConnection::receive(std::string& out, std::chrono::milliseconds) {
  backend_.settle();
  const std::string bytes = client_.take_output();
  if (!client_.open()) return Received::closed;
  out += bytes;
  return bytes.empty() ? Received::nothing : Received::bytes;
}

}  // namespace

std::unique_ptr<Backend> make_in_process_backend() { return std::make_unique<InProcessBackend>(); }

std::unique_ptr<Backend> make_divided_backend() {
  auto backend = std::make_unique<InProcessBackend>();
  backend->core->long_commands.set_bounds({.work = 0, .slice_us = 0});
  return backend;
}

}  // namespace quartet::test
