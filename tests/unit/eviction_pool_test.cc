#include "storage/eviction_pool.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <list>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "keyspace_fixture.h"
#include "random_history.h"
#include "storage/access.h"
#include "storage/string.h"

using namespace quartet;
using namespace quartet::storage;

namespace {

constexpr int64_t kDay = 86400;

/// A keyspace whose keys were last used at times that the test says, and what a rule evicts of it.
struct Fixture {
  Time at(int64_t seconds) const { return {(1'700'000'000 + seconds) * 1'000'000, seconds * 1'000'000}; }
  int64_t ms(int64_t seconds) const { return at(seconds).wall_ms(); }

  Entry* add(const std::string& key, int64_t used_s = 0, int64_t expires_s = -1) {
    Entry* entry = StringValue::assign(db, db.find_raw(key), key, "value", expires_s < 0 ? -1 : ms(expires_s));
    entry->set_access(LruAccess::clock(at(used_s)));
    return entry;
  }
  /// The keys that are evicted, in order, until `count` are or the policy permits no more.
  std::vector<std::string> evict(size_t count, int64_t now_s) {
    std::vector<std::string> evicted;
    while (evicted.size() < count && rule.permits(db)) {
      Entry* entry = pool.choose(db, rule, at(now_s), random);
      if (!entry) continue;
      evicted.emplace_back(entry->key());
      db.evict(entry);
    }
    return evicted;
  }

  test::Observer observer;
  Keyspace db{0, observer};
  EvictionRule rule{EvictionPolicy::AllKeysLru, 5, 1};
  EvictionPool pool;
  Random random{test::history_seed()};
};

std::vector<std::string> numbered(int first, int last, int step = 1) {
  std::vector<std::string> keys;
  for (int i = first; i != last + step; i += step) keys.push_back("key" + std::to_string(i));
  return keys;
}

}  // namespace

TEST_CASE_METHOD(Fixture, "with samples of everything, LRU evicts in the order of the last access", "[eviction]") {
  rule.samples = 10000;
  for (int i = 0; i < 100; ++i) add("key" + std::to_string(i), (i * 37) % 100);
  const auto evicted = evict(100, kDay);
  REQUIRE(evicted.size() == 100);
  for (int i = 0; i < 100; ++i) CHECK((std::stoi(evicted[static_cast<size_t>(i)].substr(3)) * 37) % 100 == i);
  CHECK(db.size() == 0);
  CHECK_FALSE(rule.permits(db));
}

TEST_CASE_METHOD(Fixture, "the clock of the last access goes round", "[eviction]") {
  rule.samples = 100;
  // 24 bits of seconds are 194 days: the second key was used after the clock's 0.
  const int64_t round = (1 << 24) - 1'700'000'000 % (1 << 24);
  add("before", round - 10);
  add("behind", round + 10);
  CHECK(evict(2, round + 20) == std::vector<std::string>{"before", "behind"});
}

TEST_CASE_METHOD(Fixture, "LFU evicts the least counted as of now", "[eviction]") {
  rule = {EvictionPolicy::AllKeysLfu, 100, 1};
  const auto add_counted = [&](const std::string& key, uint32_t counter, int64_t used_s) {
    add(key)->set_access(LfuAccess::minutes(at(used_s)) << 8 | counter);
  };
  add_counted("often", 200, 0);
  add_counted("seldom, lately", 3, 600);
  add_counted("often, but long ago", 9, 0);  // less the ten minutes since
  add_counted("at times", 20, 540);
  CHECK(evict(4, 600) == std::vector<std::string>{"often, but long ago", "seldom, lately", "at times", "often"});
  rule.lfu_decay_time = 0;
  add_counted("one", 8, 60);
  add_counted("two", 7, 600);
  CHECK(evict(2, 600) == std::vector<std::string>{"two", "one"});
}

TEST_CASE_METHOD(Fixture, "the volatile policies spare what has no expiry", "[eviction]") {
  for (int i = 0; i < 50; ++i) add("kept" + std::to_string(i), 0);
  for (const EvictionPolicy policy : {EvictionPolicy::VolatileLru, EvictionPolicy::VolatileLfu, EvictionPolicy::VolatileRandom,
                                      EvictionPolicy::VolatileTtl}) {
    rule = {policy, 10000, 0};
    CHECK_FALSE(rule.permits(db));
    for (int i = 0; i < 20; ++i) add("key" + std::to_string(i), 1000 - i, 10 * kDay + (i * 7) % 20);
    const auto evicted = evict(1000, kDay);
    CHECK(std::set<std::string>(evicted.begin(), evicted.end()).size() == 20);
    CHECK(db.size() == 50);
    CHECK(db.expiring() == 0);
    if (policy == EvictionPolicy::VolatileLru) CHECK(evicted == numbered(19, 0, -1));
    if (policy == EvictionPolicy::VolatileTtl)
      for (int i = 0; i < 20; ++i) CHECK((std::stoi(evicted[static_cast<size_t>(i)].substr(3)) * 7) % 20 == i);
  }
  rule.policy = EvictionPolicy::NoEviction;
  CHECK_FALSE(rule.permits(db));
}

TEST_CASE_METHOD(Fixture, "random eviction takes old and young alike", "[eviction]") {
  rule.policy = EvictionPolicy::AllKeysRandom;
  for (int i = 0; i < 2000; ++i) add("key" + std::to_string(i), i);
  int old = 0;
  for (const std::string& key : evict(1000, kDay)) old += std::stoi(key.substr(3)) < 1000;
  CHECK(old > 400);
  CHECK(old < 600);
}

TEST_CASE_METHOD(Fixture, "a candidate that is used, persisted or gone is not evicted for what it was", "[eviction]") {
  rule = {EvictionPolicy::VolatileLru, 10000, 1};
  for (int i = 0; i < 17; ++i) add("key" + std::to_string(i), i, 10 * kDay);
  CHECK(evict(1, 100) == numbered(0, 0));  // now the pool knows the others
  rule.samples = 1;                        // and learns of no more than one at a time
  db.find_raw("key1")->set_access(LruAccess::clock(at(99)));
  Entry* persisted = db.find_raw("key2");
  db.set_expiry(persisted, -1);
  db.erase(db.find_raw("key3"));
  CHECK(evict(2, 100) == numbered(4, 5));
  CHECK(db.find_raw("key1"));
  CHECK(db.find_raw("key2"));
}

TEST_CASE_METHOD(Fixture, "a policy that changes begins with candidates of its own", "[eviction]") {
  rule.samples = 10000;
  for (int i = 0; i < 10; ++i) add("key" + std::to_string(i), i, 10 * kDay - i);
  CHECK(evict(1, 100) == numbered(0, 0));
  rule.policy = EvictionPolicy::VolatileTtl;
  CHECK(evict(1, 100) == numbered(9, 9));
}

TEST_CASE_METHOD(Fixture, "a few keys with an expiry among very many without are found in bounded steps", "[eviction]") {
  rule.policy = EvictionPolicy::VolatileTtl;
  for (int i = 0; i < 100'000; ++i) add("many" + std::to_string(i));
  for (int i = 0; i < 3; ++i) add("key" + std::to_string(i), 0, kDay);
  size_t calls = 0, evicted = 0;
  for (; rule.permits(db); ++calls) {
    Entry* entry = pool.choose(db, rule, at(0), random);
    if (!entry) continue;
    db.evict(entry);
    ++evicted;
  }
  CHECK(evicted == 3);
  // The table is looked through about once, some thousand slots with each call.
  CHECK(calls > 5);
  CHECK(calls < 100);
}

TEST_CASE_METHOD(Fixture, "no key is spared for where it lies in the table", "[eviction]") {
  constexpr int kKeys = 2000;
  for (const EvictionPolicy policy : {EvictionPolicy::AllKeysLru, EvictionPolicy::AllKeysLfu, EvictionPolicy::VolatileLru}) {
    db.clear();
    rule = {policy, 5, 0};
    const auto use = [&](const std::string& key, uint32_t much) {
      add(key, 0, 10 * kDay)->set_access(rule.counts_accesses() ? LfuAccess::minutes(at(0)) << 8 | much : LruAccess::clock(at(much)));
    };
    for (int i = 0; i < kKeys; ++i) use("old" + std::to_string(i), 5);
    for (int i = 0; i < 2 * kKeys; ++i) {
      use("new" + std::to_string(i), 10);
      evict(1, 100);
    }
    int spared = 0;
    for (int i = 0; i < kKeys; ++i) spared += db.find_raw("old" + std::to_string(i)) != nullptr;
    CHECK(spared == 0);
  }
}

TEST_CASE_METHOD(Fixture, "equals go by lot, wherever they lie in the table", "[eviction]") {
  constexpr int kKeys = 1000, kRounds = 20 * kKeys;
  rule = {EvictionPolicy::AllKeysLfu, 5, 0};
  double sum = 0, squares = 0;
  for (int i = 0; i < kRounds; ++i) {
    add(std::to_string(i))->set_access(LfuAccess::fresh(at(0)));
    if (i < kKeys) continue;
    const int lived = i - std::stoi(evict(1, 0).at(0));
    sum += lived;
    squares += static_cast<double>(lived) * lived;
  }
  // Where each round may hit any key, the standard deviation of their lives is their mean. Where the places in the table decide, some
  // keys come and go, others stay, and it is more than twice that.
  const double count = kRounds - kKeys, mean = sum / count;
  const double deviation = std::sqrt(squares / count - mean * mean);
  CAPTURE(mean, deviation);
  CHECK(deviation < 1.25 * mean);
}

TEST_CASE_METHOD(Fixture, "the pool outlives whatever happens to the contents", "[eviction]") {
  Keyspace other(1, observer);
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 200; ++i) add("key" + std::to_string(random.below(1000)), static_cast<int64_t>(random.below(1000)));
    evict(20, kDay);
    if (round % 10 == 3) db.clear();
    if (round % 10 == 6) db.swap_contents(other);
  }
  evict(SIZE_MAX, kDay);
  CHECK(db.size() == 0);
  CHECK(db.memory() == test::memory_by_counting(db));
}

namespace {

/// How many of the requests a cache of `capacity` keys answers, of which `touch(key)` says whether the key was there and which makes
/// room for it otherwise.
template <class Touch>
double hit_rate(const std::vector<uint64_t>& trace, Touch touch) {
  size_t hits = 0;
  for (size_t i = 0; i < trace.size(); ++i) hits += touch(trace[i], static_cast<int64_t>(i));
  return static_cast<double>(hits) / static_cast<double>(trace.size());
}

/// Requests by Zipf's law with the exponent 1.
std::vector<uint64_t> zipf_trace(size_t keys, size_t requests, Random& random) {
  std::vector<double> sums;
  double sum = 0;
  for (size_t i = 1; i <= keys; ++i) sums.push_back(sum += 1 / static_cast<double>(i));
  std::vector<uint64_t> trace;
  for (size_t i = 0; i < requests; ++i) {
    const double at = static_cast<double>(random.next() >> 11) * 0x1p-53 * sum;
    trace.push_back(static_cast<uint64_t>(std::lower_bound(sums.begin(), sums.end(), at) - sums.begin()));
  }
  return trace;
}

}  // namespace

TEST_CASE_METHOD(Fixture, "five samples come close to exact LRU", "[eviction]") {
  constexpr size_t kCapacity = 1000;
  Random generator(7);
  const std::vector<uint64_t> trace = zipf_trace(10 * kCapacity, 60'000, generator);

  std::list<uint64_t> order;
  std::unordered_map<uint64_t, std::list<uint64_t>::iterator> places;
  const double exact = hit_rate(trace, [&](uint64_t key, int64_t) {
    const auto found = places.find(key);
    if (found != places.end()) {
      order.splice(order.begin(), order, found->second);
      return true;
    }
    if (places.size() == kCapacity) {
      places.erase(order.back());
      order.pop_back();
    }
    order.push_front(key);
    places[key] = order.begin();
    return false;
  });
  const auto sampled_rate = [&](EvictionPolicy policy) {
    db.clear();
    pool = {};
    rule = {policy, 5, 1};
    return hit_rate(trace, [&](uint64_t key, int64_t second) {
      const std::string name = "key" + std::to_string(key);
      if (Entry* entry = db.find_raw(name)) {
        entry->set_access(LruAccess::clock(at(second)));
        return true;
      }
      add(name, second);
      if (db.size() > kCapacity) evict(1, second);
      return false;
    });
  };
  const double sampled = sampled_rate(EvictionPolicy::AllKeysLru), by_chance = sampled_rate(EvictionPolicy::AllKeysRandom);
  CAPTURE(exact, sampled, by_chance);
  CHECK(sampled > exact - 0.01);
  CHECK(by_chance < exact - 0.02);
}
