#include "base/clock.h"

#include <algorithm>
#include <ctime>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

namespace quartet {

namespace {

constexpr int64_t kReadEveryUs = 1000;
/// What a reading takes at most, in ticks, where nothing interrupts it: some microseconds.
constexpr uint64_t kReadingTicks = 1 << 15;
/// The counter's rate is measured over this time, again and again: it may be another after a virtual machine has moved.
constexpr int64_t kMeasureUs = 20'000, kMeasureAtMostUs = 60'000'000;

int64_t microseconds(clockid_t id) {
  timespec ts;
  clock_gettime(id, &ts);
  return int64_t{ts.tv_sec} * 1'000'000 + ts.tv_nsec / 1000;
}

#if defined(__x86_64__)
uint64_t ticks() { return __rdtsc(); }
/// Whether the counter runs at one rate, asleep or awake (Intel's Software Developer's Manual, volume 3, "Invariant
/// TSC").
bool counter_is_constant() {
  unsigned a, b, c, d;
  return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & 1u << 8);
}
#else
uint64_t ticks() { return 0; }
bool counter_is_constant() { return false; }
#endif

}  // namespace

SystemClock::SystemClock() : has_counter_(counter_is_constant()) {}

Time SystemClock::now() {
  const uint64_t at = ticks();
  const uint64_t passed = at - last_.ticks;
  // A counter that went back, as between processors that disagree, has passed more than any bound.
  Time now = last_.time;
  if (passed >= ticks_between_) {
    now = read();
  } else {
    const auto passed_us = static_cast<int64_t>(passed * us_per_tick_ >> 32);
    now.wall_us += passed_us;
    now.mono_us += passed_us;
  }
  // What was told may have been ahead of the clocks by the error of the measured rate.
  now.mono_us = latest_mono_us_ = std::max(now.mono_us, latest_mono_us_);
  return now;
}

Time SystemClock::read() {
  // Where the thread was interrupted in the middle, time and counter are not of one moment, and it is tried again.
  bool of_one_moment = false;
  for (int tries = 0; tries < 3 && !of_one_moment; ++tries) {
    last_ = {ticks(), {microseconds(CLOCK_REALTIME), microseconds(CLOCK_MONOTONIC)}};
    of_one_moment = ticks() - last_.ticks <= kReadingTicks;
  }
  if (!of_one_moment) last_.ticks = 0;  // the counter says nothing now, and the next call reads again
  if (!has_counter_ || !of_one_moment) return last_.time;
  const int64_t measured_us = last_.time.mono_us - rate_measured_.time.mono_us;
  const uint64_t measured_ticks = last_.ticks - rate_measured_.ticks;
  // After a long pause of the process the product below would not fit.
  if (rate_measured_.ticks == 0 || last_.ticks < rate_measured_.ticks || measured_us > kMeasureAtMostUs) {
    rate_measured_ = last_;
  } else if (measured_us >= kMeasureUs) {
    us_per_tick_ = (static_cast<uint64_t>(measured_us) << 32) / measured_ticks;
    ticks_between_ = measured_ticks / static_cast<uint64_t>(measured_us) * kReadEveryUs;
    rate_measured_ = last_;
  }
  return last_.time;
}

}  // namespace quartet
