#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "bench/load/latencies.h"
#include "bench/load/workload.h"

namespace quartet::load {

struct Plan {
  Case command;
  uint16_t port = 0;
  size_t connections = 50;
  size_t idle = 0;             // connections beside them that say nothing
  size_t pipeline = 1;         // requests that a connection sends at once; it sends again when all are answered
  uint64_t requests = 100'000;  // of all connections together
  int64_t microseconds = 60'000'000;  // the run ends then, however many requests are left
  uint64_t keys = 1'000'000;
  size_t value_size = 3;  // bytes
  uint64_t seed = 1;
  bool sequential = false;  // numbers count up instead of being random
  int server = 0;           // the server's process, where its CPU time and memory are to be measured
};

struct Outcome {
  uint64_t replies = 0;
  uint64_t errors = 0;  // error replies among them
  int64_t microseconds = 0;
  double server_cpu_us = 0;     // of the server's threads meanwhile, if its process was given
  double server_rss_bytes = 0;  // at the end, with all connections there; the same
  Latencies latencies;  // of each reply, from the moment its batch was handed to the kernel until it was read
};

/// Puts the load on 127.0.0.1 from this thread alone. An Outcome, or the reason why there is none. SIGTERM and SIGINT
/// end it early; they are blocked from here on.
std::variant<Outcome, std::string> run(const Plan& plan);

}  // namespace quartet::load
