#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "server/context.h"

namespace quartet::server {

/// The latest commands that took longer than `slowlog-log-slower-than` of their database, newest first.
class SlowLog {
 public:
  struct Item {
    uint64_t id;
    int64_t time;          // seconds since the epoch
    int64_t microseconds;
    int database;
    std::vector<std::string> arguments;  // shortened: at most 32, at most 128 bytes each
    std::string address, name;
  };

  void add(const Session& session, int database, Args args, int64_t microseconds, const Time& now, size_t max_length);
  void trim(size_t max_length);
  void clear() { items_.clear(); }
  const std::deque<Item>& items() const { return items_; }
  /// What it takes of memory, in bytes, about.
  size_t memory() const;

 private:
  std::deque<Item> items_;
  uint64_t next_id_ = 0;
};

/// Spikes of named events over `latency-monitor-threshold`, for LATENCY.
class LatencyMonitor {
 public:
  static constexpr size_t kHistory = 160;
  struct Sample {
    int64_t time;  // seconds since the epoch
    uint32_t ms;
  };
  struct Series {
    std::deque<Sample> samples;  // oldest first; one a second, the worst of it
    uint32_t max = 0;
  };

  void add(const std::string& event, uint32_t ms, int64_t seconds);
  /// Forgets one event or, with an empty name, all; returns how many.
  size_t reset(const std::string& event);
  const std::map<std::string, Series>& events() const { return events_; }

 private:
  std::map<std::string, Series> events_;
};

}  // namespace quartet::server
