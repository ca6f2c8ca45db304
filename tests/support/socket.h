// A TCP connection of a test to a server.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace quartet::test {

enum class Received { bytes, closed, nothing };

class Socket {
 public:
  // Connects, or throws std::runtime_error. `host` is a dotted IPv4 address or "localhost".
  Socket(const std::string& host, std::uint16_t port);
  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  // Sends everything; false when the peer has closed.
  bool send_all(std::string_view bytes);

  // Appends the bytes that are there, waiting for the first of them at most `wait`.
  Received receive(std::string& out, std::chrono::milliseconds wait);

 private:
  int descriptor_;
};

// A TCP port on the loopback interface that was free a moment ago.
std::uint16_t free_port();

}  // namespace quartet::test
