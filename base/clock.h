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

/// The operating system's clocks.
class SystemClock final : public Clock {
 public:
  Time now() override;
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
