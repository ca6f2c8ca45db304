#include "server/acl_log.h"

#include <catch2/catch.hpp>

#include "base/limits.h"
#include "server/login_throttle.h"

using namespace quartet;
using namespace quartet::server;

namespace {

Time at_ms(int64_t ms) { return {0, ms * 1000}; }

void add(AclLog& log, std::string_view object, int64_t ms, size_t most = 128) {
  log.add(AclLog::Reason::Key, AclLog::Source::TopLevel, object, "alice", "client", at_ms(ms), most);
}

}  // namespace

TEST_CASE("entries of ACL LOG that are alike are counted together", "[acl]") {
  AclLog log;
  add(log, "a", 0);
  add(log, "b", 1000);
  add(log, "a", 60'000);
  REQUIRE(log.entries().size() == 2);
  CHECK((log.entries()[0].object == "a" && log.entries()[0].count == 2 && log.entries()[0].last_ms == 60'000));
  // What is older than a minute is not continued, and only the latest entries are looked at.
  add(log, "a", 120'001);
  CHECK(log.entries().size() == 3);
  for (int i = 0; i < 10; ++i) add(log, std::to_string(i), 120'001);
  add(log, "a", 120'001);
  CHECK(log.entries().size() == 14);
  CHECK(log.entries()[0].count == 1);
}

TEST_CASE("ACL LOG is bounded", "[acl]") {
  AclLog log;
  for (int i = 0; i < 10; ++i) add(log, std::to_string(i), 0, 3);
  REQUIRE(log.entries().size() == 3);
  CHECK(log.entries()[0].object == "9");
  add(log, std::string(1 << 20, 'x'), 0);
  CHECK(log.entries()[0].object.size() == limits::kAclLogObjectBytes);
  add(log, "x", 0, 0);
  CHECK(log.entries().empty());
}

TEST_CASE("failed logins make the next ones of the same address wait", "[acl]") {
  LoginThrottle throttle;
  const auto fail = [&](std::string_view address, int64_t ms) { throttle.failed(address, at_ms(ms)); };
  for (int i = 0; i < 10; ++i) fail("10.0.0.1:1", 0);
  CHECK(throttle.delay_ms("10.0.0.1:2", at_ms(0)) == 0);
  fail("10.0.0.1:3", 0);
  const int64_t first = throttle.delay_ms("10.0.0.1:4", at_ms(0));
  CHECK(first > 0);
  fail("10.0.0.1:5", 0);
  CHECK(throttle.delay_ms("10.0.0.1:6", at_ms(0)) == 2 * first);
  for (int i = 0; i < 1000; ++i) fail("10.0.0.1:7", 0);
  CHECK(throttle.delay_ms("10.0.0.1:8", at_ms(0)) == limits::kLoginDelayMs);
  // Others are not touched.
  CHECK(throttle.delay_ms("10.0.0.2:1", at_ms(0)) == 0);
  CHECK(throttle.delay_ms("[::1]:1", at_ms(0)) == 0);
  // A minute later all is paid off.
  CHECK(throttle.delay_ms("10.0.0.1:9", at_ms(60'000)) == 0);
  fail("10.0.0.1:9", 60'000);
  CHECK(throttle.delay_ms("10.0.0.1:9", at_ms(60'000)) == 0);
}

TEST_CASE("one failure a second costs nothing for ever", "[acl]") {
  LoginThrottle throttle;
  for (int64_t ms = 0; ms < 600'000; ms += 1000) {
    CHECK(throttle.delay_ms("/run/socket:0", at_ms(ms)) == 0);
    throttle.failed("/run/socket:0", at_ms(ms));
  }
}

TEST_CASE("the addresses that failed are a bounded number, and the worst of them stay", "[acl]") {
  LoginThrottle throttle;
  for (int i = 0; i < 30; ++i) throttle.failed("10.0.0.1:1", at_ms(0));
  for (size_t i = 0; i < 2 * limits::kLoginAddresses; ++i) throttle.failed("host" + std::to_string(i) + ":1", at_ms(0));
  CHECK(throttle.addresses() <= limits::kLoginAddresses);
  CHECK(throttle.delay_ms("10.0.0.1:1", at_ms(0)) == limits::kLoginDelayMs);
}

TEST_CASE("attempts that wait are due in the order of their times", "[acl]") {
  LoginThrottle throttle;
  CHECK(throttle.next_deadline_us() == 0);
  throttle.hold(7, 2000);
  throttle.hold(8, 1000);
  CHECK(throttle.next_deadline_us() == 1000);
  CHECK(throttle.take_due(Time{0, 999}).empty());
  CHECK(throttle.take_due(Time{0, 2000}) == std::vector<uint64_t>{8, 7});
  CHECK(throttle.next_deadline_us() == 0);
}
