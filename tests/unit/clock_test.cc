#include "base/clock.h"

#include <catch2/catch.hpp>
#include <ctime>

using namespace quartet;

namespace {

int64_t monotonic_us() {
  timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return int64_t{ts.tv_sec} * 1'000'000 + ts.tv_nsec / 1000;
}

}  // namespace

TEST_CASE("the system clock tells the operating system's time between its readings too", "[clock]") {
  SystemClock clock;
  // Long enough for the counter's rate to be measured, so that most answers come from it.
  const int64_t end = monotonic_us() + 100'000;
  Time before = clock.now();
  int64_t went_back = 0, early = 0, late = 0;
  for (int64_t earliest = monotonic_us(); earliest < end; earliest = monotonic_us()) {
    const Time now = clock.now();
    const int64_t latest = monotonic_us();
    // Time and counter are read within some microseconds, and so much may the one told be off.
    early += now.mono_us < earliest - 40;
    late += now.mono_us > latest + 40;
    went_back += now.mono_us < before.mono_us;
    before = now;
  }
  CHECK(went_back == 0);
  CHECK(early == 0);
  CHECK(late == 0);
}
