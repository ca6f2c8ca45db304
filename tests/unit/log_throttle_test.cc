#include "base/log_throttle.h"

#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include <unistd.h>

using namespace quartet;

namespace {

/// The texts of the lines in the file, without time and level.
std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(line.substr(line.find(" warning ") + 9));
  return lines;
}

}  // namespace

TEST_CASE("a throttle lets some messages a second through and counts the others", "[log]") {
  char path[] = "/tmp/quartet-log-XXXXXX";
  ::close(::mkstemp(path));
  ManualClock clock;
  Log log(clock);
  REQUIRE(log.open(path));
  LogThrottle throttle;
  for (int i = 0; i < 100; ++i) throttle.write(log, LogLevel::Warning, clock.now(), "client {}", i);
  CHECK(lines_of(path).size() == LogThrottle::kPerSecond);
  CHECK(lines_of(path).back() == "client 9");

  clock.advance_ms(1000);
  throttle.write(log, LogLevel::Verbose, clock.now(), "below the level, and not counted");
  throttle.write(log, LogLevel::Warning, clock.now(), "client {}", 100);
  throttle.write(log, LogLevel::Warning, clock.now(), "client {}", 101);
  const std::vector<std::string> lines = lines_of(path);
  REQUIRE(lines.size() == LogThrottle::kPerSecond + 3);
  CHECK(lines[10] == "client 100");
  CHECK(lines[11] == "90 messages like this one were left out before it");
  CHECK(lines[12] == "client 101");
  std::remove(path);
}
