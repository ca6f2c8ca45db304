// Specs over TCP: a running Quartet or redis-server.
#pragma once

#include <cstdint>

#include "backend.h"

namespace quartet::test {

class WireBackend : public Backend {
 public:
  WireBackend(std::string host, std::uint16_t port);

  std::unique_ptr<Connection> connect() override;
  void settle() override;
  void advance(std::chrono::milliseconds time) override;

 private:
  std::string host_;
  std::uint16_t port_;
  Socket observer_;
  std::size_t unsettled_bytes_ = 0;  // sent by the connections since the last settle()
};

}  // namespace quartet::test
