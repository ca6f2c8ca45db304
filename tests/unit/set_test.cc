#include "storage/set.h"

#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "keyspace_fixture.h"
#include "random_history.h"

using namespace quartet;
using namespace quartet::storage;

namespace {

std::set<std::string> contents(const SetValue& set) {
  std::set<std::string> members;
  size_t visited = 0;
  set.for_each([&](std::string_view member) {
    members.emplace(member);
    ++visited;
    return true;
  });
  REQUIRE(visited == members.size());
  return members;
}

}  // namespace

TEST_CASE("A set agrees with a model over a random history in each encoding") {
  const uint64_t seed = test::history_seed();
  CAPTURE(seed);
  Random random(seed);
  struct Case {
    bool integers;
    int64_t intset_entries, listpack_entries;
    Encoding encoding;
  };
  for (const Case& kind : {Case{true, 100000, 128, Encoding::Intset}, Case{false, 512, 100000, Encoding::Packed},
                           Case{false, 512, 128, Encoding::Table}, Case{false, 5, 0, Encoding::Table}}) {
    Thresholds thresholds;
    thresholds.set_max_intset_entries = kind.intset_entries;
    thresholds.set_max_listpack_entries = kind.listpack_entries;
    thresholds.set_max_listpack_value = 400;
    test::Observer observer;
    Keyspace keyspace(0, observer, thresholds);
    SetValue set = SetValue::create(keyspace, "a set");
    std::set<std::string> model;
    for (int step = 0; step < 4000; ++step) {
      const std::string member = kind.integers ? std::to_string(static_cast<int64_t>(random.next()) >> random.below(64))
                                               : test::random_text(random, 300);
      if (random.below(3) < 2) {
        REQUIRE(set.add(member) == model.insert(member).second);
      } else if (random.below(2) || model.empty()) {
        REQUIRE(set.remove(member) == (model.erase(member) == 1));
      } else {
        set.pop(random, [&](std::string_view popped) { REQUIRE(model.erase(std::string(popped)) == 1); });
      }
      REQUIRE(set.size() == model.size());
      if (step % 100 == 0) {
        REQUIRE(contents(set) == model);
        for (const std::string& known : model) REQUIRE(set.contains(known));
        REQUIRE_FALSE(set.contains("no such member"));
        REQUIRE_FALSE(set.contains("7000000000000000001"));
        REQUIRE(keyspace.memory() == test::memory_by_counting(keyspace));
      }
    }
    CHECK(set.entry->encoding() == kind.encoding);
    CHECK(length_of(*set.entry) == model.size());
    while (!set.empty()) set.pop(random, [&](std::string_view popped) { REQUIRE(model.erase(std::string(popped)) == 1); });
    CHECK(model.empty());
    CHECK(keyspace.memory() == test::memory_by_counting(keyspace));
  }
}

TEST_CASE("A set of integers is sorted and as wide as its widest member") {
  test::Observer observer;
  Keyspace keyspace(0, observer);
  SetValue set = SetValue::create(keyspace, "s");
  for (const char* member : {"5", "-5", "32767", "-32768"}) CHECK(set.add(member));
  CHECK(set.entry->bytes().size() == 1 + 4 * 2);
  CHECK(set.add("32768"));
  CHECK(set.entry->bytes().size() == 1 + 5 * 4);
  CHECK(set.add("-2147483649"));
  CHECK(set.add("9223372036854775807"));
  CHECK(set.add("-9223372036854775808"));
  CHECK(set.entry->bytes().size() == 1 + 8 * 8);
  std::vector<std::string> members;
  set.for_each([&](std::string_view member) { return members.emplace_back(member), members.size() < 7; });
  CHECK(members == std::vector<std::string>{"-9223372036854775808", "-2147483649", "-32768", "-5", "5", "32767", "32768"});
  CHECK_FALSE(set.contains("05"));
  CHECK_FALSE(set.remove("x"));
  CHECK(encoding_name(*set.entry) == "intset");
}

TEST_CASE("A set leaves the encoding of integers at its limit and at the first other string") {
  test::Observer observer;
  Keyspace keyspace(0, observer);
  SetValue numbers = SetValue::create(keyspace, "numbers");
  for (int i = 0; i < 512; ++i) numbers.add(std::to_string(i));
  CHECK(encoding_name(*numbers.entry) == "intset");
  CHECK(numbers.add("512"));
  CHECK(encoding_name(*numbers.entry) == "hashtable");
  CHECK(numbers.size() == 513);

  SetValue mixed = SetValue::create(keyspace, "mixed");
  for (int i = 0; i < 50; ++i) mixed.add(std::to_string(i * 100000));
  CHECK(mixed.add("x"));
  CHECK(encoding_name(*mixed.entry) == "hashtable");
  CHECK(mixed.entry->encoding() == Encoding::Packed);
  CHECK(mixed.size() == 51);
  CHECK(mixed.contains("4900000"));
  CHECK(mixed.add(std::string(65, 'y')));
  CHECK(mixed.entry->encoding() == Encoding::Table);
  CHECK(mixed.size() == 52);
  CHECK(mixed.contains("x"));

  SetValue large = SetValue::create(keyspace, "large");
  for (int i = 0; i < 300; ++i) large.add(std::to_string(i));
  CHECK(large.add("x"));
  CHECK(large.entry->encoding() == Encoding::Table);
  CHECK(large.size() == 301);
  CHECK(keyspace.memory() == test::memory_by_counting(keyspace));
}

TEST_CASE("Scanning a set meets every member, and choosing members at random is fair") {
  const uint64_t seed = test::history_seed();
  CAPTURE(seed);
  Random random(seed);
  test::Observer observer;
  Keyspace keyspace(0, observer);
  for (const std::string prefix : {"", "m"})
    for (const size_t members : {1, 30, 600, 5000}) {
      CAPTURE(prefix, members);
      SetValue set = SetValue::create(keyspace, "s" + prefix + std::to_string(members));
      for (size_t i = 0; i < members; ++i) set.add(prefix + std::to_string(i));

      std::set<std::string> met;
      uint64_t cursor = 0;
      do cursor = set.scan(cursor, 10, [&](std::string_view member) { met.emplace(member); });
      while (cursor != 0);
      CHECK(met == contents(set));

      for (const size_t wanted : {size_t{0}, size_t{1}, members / 10, members / 2, members, members + 5}) {
        std::set<std::string> sample;
        size_t times = 0;
        set.sample(wanted, random, [&](std::string_view member) { ++times, sample.emplace(member); });
        CHECK(times == std::min(wanted, members));
        CHECK(sample.size() == times);
      }

      if (members > 600) continue;
      for (const bool with_sample : {true, false}) {
        std::map<std::string, size_t> drawn;
        const auto count = [&](std::string_view member) { ++drawn[std::string(member)]; };
        constexpr size_t kEach = 200;
        for (size_t i = 0; i < members * kEach / 5; ++i) {
          if (with_sample && members > 5) {
            set.sample(5, random, count);
          } else {
            set.draw(5, random, count);
          }
        }
        CHECK(drawn.size() == members);
        for (const auto& [member, times] : drawn)
          if (times < kEach - 113 || times > kEach + 113) FAIL_CHECK(member << " was drawn " << times << " times");
      }
    }
}

TEST_CASE("many members chosen at random differ, and all are as likely") {
  const uint64_t seed = test::history_seed();
  CAPTURE(seed);
  Random random(seed);
  test::Observer observer;
  Keyspace keyspace(0, observer);
  constexpr size_t kMembers = 10'000, kWanted = 2'000, kTimes = 200;
  SetValue set = SetValue::create(keyspace, "s");
  for (size_t i = 0; i < kMembers; ++i) set.add("m" + std::to_string(i));
  std::map<std::string, size_t> drawn;
  for (size_t i = 0; i < kTimes; ++i) {
    std::set<std::string> sample;
    size_t times = 0;
    set.sample(kWanted, random, [&](std::string_view member) { ++times, sample.emplace(member); });
    REQUIRE(times == kWanted);
    REQUIRE(sample.size() == kWanted);
    for (const std::string& member : sample) ++drawn[member];
  }
  CHECK(drawn.size() == kMembers);
  // Each 40 times, with a standard deviation of 5.7.
  for (const auto& [member, times] : drawn)
    if (times < 2 || times > 78) FAIL_CHECK(member << " was drawn " << times << " times");
}

TEST_CASE("Members of a large set may have any length, and a clone is independent") {
  test::Observer observer;
  Keyspace keyspace(0, observer);
  SetValue set = SetValue::create(keyspace, "s");
  for (const size_t length : {0, 1, 253, 254, 255, 256, 100000}) {
    CHECK(set.add(std::string(length, 'x')));
    CHECK_FALSE(set.add(std::string(length, 'x')));
  }
  CHECK(set.size() == 7);
  keyspace.insert(Keyspace::clone(*set.entry, "copy"));
  SetValue copy(keyspace, keyspace.find_raw("copy"));
  CHECK(contents(copy) == contents(set));
  CHECK(set.remove(std::string(255, 'x')));
  CHECK(copy.contains(std::string(255, 'x')));
  CHECK(keyspace.memory() == test::memory_by_counting(keyspace));
}
