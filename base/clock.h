#pragma once

#include <cstdint>

namespace quartet {

/// One sample of time. `wall_us` is microseconds since the Unix epoch and may jump; `mono_us` is
/// microseconds since an arbitrary start and never goes back.
struct Time {
  int64_t wall_us = 0;
  int64_t mono_us = 0;

  int64_t wall_ms() const { return wall_us / 1000; }
  int64_t mono_ms() const { return mono_us / 1000; }
};

/// Where time comes from. It is injected, so that tests decide what time it is.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time now() = 0;
};

/// The operating system's clocks, read at least once a millisecond. Between two readings time is told by the
/// processor's time stamp counter, which costs a third of a reading, where it has one that runs at a constant rate.
class SystemClock final : public Clock {
 public:
  SystemClock();
  Time now() override;

 private:
  struct Reading {
    uint64_t ticks = 0;
    Time time;
  };

  /// Reads the operating system's clocks.
  Time read();

  Reading last_;           // of the operating system's clocks
  Reading rate_measured_;  // where the present measurement of the rate began
  uint64_t us_per_tick_ = 0;    // times 2^32
  uint64_t ticks_between_ = 0;  // readings; 0 where every call is one
  int64_t latest_mono_us_ = 0;
  bool has_counter_;
};

/// A clock that stands still until it is told to advance.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(int64_t wall_ms = 1'700'000'000'000) : time_{wall_ms * 1000, 1'000'000} {}
  Time now() override { return time_; }
  void advance_ms(int64_t ms) { advance_us(ms * 1000); }
  void advance_us(int64_t us) {
    time_.wall_us += us;
    time_.mono_us += us;
  }

 private:
  Time time_;
};

}  // namespace quartet
