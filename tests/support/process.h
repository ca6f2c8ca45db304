// A server process that a test starts and ends.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace quartet::test {

// Quartet or redis-server on a free loopback port, with an own temporary directory as its `dir`. Both take
// `--name value` options, so the same line starts either.
class ServerProcess {
 public:
  // Starts `binary` and waits (at most 20 seconds) until it answers; throws std::runtime_error with its
  // output if it does not.
  explicit ServerProcess(const std::string& binary, const std::vector<std::string>& options = {});

  // Ends the process (SIGTERM, after ten seconds SIGKILL) and removes its directory.
  ~ServerProcess();

  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  std::uint16_t port() const { return port_; }

 private:
  bool answers() const;
  bool ended();
  void start(const std::string& binary, const std::vector<std::string>& options);
  void stop();
  std::string output() const;

  std::uint16_t port_;
  std::string directory_;
  pid_t pid_ = -1;
};

}  // namespace quartet::test
