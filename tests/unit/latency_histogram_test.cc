#include "server/latency_histogram.h"

#include <catch2/catch.hpp>
#include <utility>
#include <vector>

using quartet::server::LatencyHistogram;

TEST_CASE("latency histogram: percentiles are exact to within 3 percent") {
  LatencyHistogram histogram;
  CHECK(histogram.percentile(50) == 0);
  for (uint64_t us = 1; us <= 1000; ++us) histogram.add(us * 1000);
  for (const double percent : {1.0, 50.0, 99.0, 99.9, 100.0}) {
    const double exact = percent * 10'000;
    CHECK(static_cast<double>(histogram.percentile(percent)) >= exact);
    CHECK(static_cast<double>(histogram.percentile(percent)) <= exact * 1.0313);
  }
}

TEST_CASE("latency histogram: powers of two count everything up to them") {
  LatencyHistogram histogram;
  for (const uint64_t ns : {0, 1'000, 3'000, 4'000, 20'000}) histogram.add(ns);
  std::vector<std::pair<uint64_t, uint64_t>> seen;
  histogram.for_each_power([&](uint64_t limit, uint64_t count) { seen.emplace_back(limit / 1000, count); });
  const std::vector<std::pair<uint64_t, uint64_t>> expected = {{1, 2}, {2, 2}, {4, 4}, {8, 4}, {16, 4}, {33, 5}};
  CHECK(seen == expected);
}

TEST_CASE("latency histogram: what took no time is told from what was not measured") {
  LatencyHistogram histogram;
  histogram.add(0);
  CHECK(histogram.percentile(50) == 1);
}

TEST_CASE("latency histogram: the longest durations are still counted") {
  LatencyHistogram histogram;
  histogram.add(UINT64_MAX);
  CHECK(histogram.total() == 1);
  uint64_t count = 0;
  histogram.for_each_power([&](uint64_t, uint64_t counted) { count = counted; });
  CHECK(count == 1);
}
