#include "base/clock.h"

#include <ctime>

namespace quartet {

namespace {

int64_t microseconds(clockid_t id) {
  timespec ts;
  clock_gettime(id, &ts);
  return int64_t{ts.tv_sec} * 1'000'000 + ts.tv_nsec / 1000;
}

}  // namespace

Time SystemClock::now() { return {microseconds(CLOCK_REALTIME), microseconds(CLOCK_MONOTONIC)}; }

}  // namespace quartet
