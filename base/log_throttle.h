#pragma once

#include <cstdint>
#include <utility>

#include "base/clock.h"
#include "base/log.h"

namespace quartet {

/// Lets a bounded number of messages of one kind into the log in each second, so that a storm of clients neither fills
/// the disk nor takes the time of others. What is left out is counted, and the next message that is written is followed
/// by the count.
class LogThrottle {
 public:
  /// Messages a second.
  static constexpr int kPerSecond = 10;

  template <class... Args>
  void write(Log& log, LogLevel level, const Time& now, fmt::format_string<Args...> text, Args&&... args) {
    if (level < log.level()) return;
    const int64_t second = now.mono_us / 1'000'000;
    if (second != second_) {
      second_ = second;
      written_ = 0;
    }
    if (written_ == kPerSecond) return void(++left_out_);
    ++written_;
    log.format(level, text, fmt::make_format_args(args...));
    if (left_out_ == 0) return;
    log.format(level, "{} messages like this one were left out before it", fmt::make_format_args(left_out_));
    left_out_ = 0;
  }

 private:
  int64_t second_ = -1;
  int written_ = 0;
  uint64_t left_out_ = 0;
};

}  // namespace quartet
