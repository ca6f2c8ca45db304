#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "random_history.h"
#include "storage/sorted_set.h"

namespace quartet::storage {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Discard final : KeyspaceObserver {
  void expired(Keyspace&, std::string_view) override {}
  void reclaim(std::unique_ptr<Garbage>) override {}
};

using Pair = std::pair<double, std::string>;
using Pairs = std::vector<Pair>;

/// The members in order, and each member's score.
struct Model {
  std::map<std::string, double> scores;

  Pairs ordered() const {
    Pairs all;
    for (const auto& [member, score] : scores) all.emplace_back(score, member);
    std::sort(all.begin(), all.end());
    return all;
  }
};

Pairs collect(const SortedSetValue& set, const SortedSetValue::Slice& slice) {
  Pairs visited;
  set.visit(slice, [&](std::string_view member, double score) {
    visited.emplace_back(score, std::string(member));
    return true;
  });
  return visited;
}

Pairs collect(const SortedSetValue& set) { return collect(set, set.slice(0, SIZE_MAX)); }

/// What remains of `all` in the direction of the visit behind `offset` and within `limit`.
Pairs cut(Pairs all, bool reverse, size_t offset, size_t limit) {
  if (reverse) std::reverse(all.begin(), all.end());
  if (offset >= all.size()) return {};
  all.erase(all.begin(), all.begin() + static_cast<long>(offset));
  if (limit < all.size()) all.resize(limit);
  return all;
}

/// A keyspace with one sorted set in it.
struct Fixture {
  explicit Fixture(Thresholds wanted = {}) : thresholds(wanted), keyspace(0, observer, thresholds) {}

  /// The account holds exactly what the entry takes.
  void check_account(const SortedSetValue& set) const {
    CHECK(keyspace.memory() == keyspace.table_memory() + memory_of(*set.entry));
  }
  void check(const SortedSetValue& set, const Model& model) const {
    const Pairs expected = model.ordered();
    REQUIRE(collect(set) == expected);
    REQUIRE(set.size() == expected.size());
    CHECK(length_of(*set.entry) == expected.size());
    CHECK(collect(set, set.slice(0, SIZE_MAX, true)) == cut(expected, true, 0, SIZE_MAX));
    for (size_t rank = 0; rank < expected.size(); ++rank) {
      CHECK(set.rank(expected[rank].second) == rank);
      CHECK(set.reverse_rank(expected[rank].second) == expected.size() - 1 - rank);
      CHECK(set.score(expected[rank].second) == expected[rank].first);
      CHECK(set.at(rank).member == expected[rank].second);
    }
    CHECK(entry_is_found(set));
    check_account(set);
  }
  bool entry_is_found(const SortedSetValue& set) const { return keyspace.find_raw("key") == set.entry; }

  Discard observer;
  Thresholds thresholds;
  Keyspace keyspace;
};

std::string random_member(Random& random) {
  std::string member = std::to_string(random.below(300));
  if (random.below(8) == 0) member.append(random.below(50), '\xff');
  if (random.below(16) == 0) member.insert(0, 1, '\0');
  return random.below(200) == 0 ? std::string() : member;
}

double random_score(Random& random) {
  switch (random.below(12)) {
    case 0: return kInfinity;
    case 1: return -kInfinity;
    case 2: return -0.0;
    case 3: return static_cast<double>(random.next()) / 3e9;
    default: return static_cast<double>(random.below(15)) - 7;
  }
}

Thresholds always_large() {
  Thresholds thresholds;
  thresholds.zset_max_listpack_entries = 0;
  return thresholds;
}

Thresholds always_small() {
  Thresholds thresholds;
  thresholds.zset_max_listpack_entries = 1'000'000;
  thresholds.zset_max_listpack_value = 1'000'000;
  return thresholds;
}

void random_history(Thresholds thresholds, uint64_t seed, size_t wanted) {
  CAPTURE(seed, wanted);
  Random random(seed);
  Fixture fixture(thresholds);
  SortedSetValue set = SortedSetValue::create(fixture.keyspace, "key");
  Model model;
  for (int step = 0; step < 1500; ++step) {
    const std::string member = random_member(random);
    const auto present = model.scores.find(member);
    if (random.below(3) != 0 && (model.scores.size() < wanted || present != model.scores.end())) {
      const double score = random_score(random);
      const ScoreResult result = set.set(member, score);
      const ScoreChange expected = present == model.scores.end() ? ScoreChange::Added
                                   : present->second == score    ? ScoreChange::Unchanged
                                                                 : ScoreChange::Updated;
      REQUIRE(result.change == expected);
      model.scores[member] = score;
    } else {
      REQUIRE(set.erase(member) == (present != model.scores.end()));
      if (present != model.scores.end()) model.scores.erase(present);
    }
    CHECK_FALSE(set.score("no such member").has_value());
    if (step % 100 == 0) fixture.check(set, model);

    const Pairs all = model.ordered();
    const bool reverse = random.below(2);
    const size_t offset = random.below(3) ? 0 : random.below(all.size() + 2);
    const size_t limit = random.below(3) ? SIZE_MAX : random.below(all.size() + 2);

    REQUIRE(collect(set, set.slice(offset, limit, reverse)) == cut(all, reverse, offset, limit));
    const ScoreRange range{random_score(random), random_score(random), random.below(2) == 0, random.below(2) == 0};
    Pairs within;
    for (const Pair& pair : all)
      if ((range.min_exclusive ? pair.first > range.min : pair.first >= range.min) &&
          (range.max_exclusive ? pair.first < range.max : pair.first <= range.max))
        within.push_back(pair);
    const SortedSetValue::Slice slice = set.slice(range, reverse, offset, limit);
    REQUIRE(set.count(range) == within.size());
    const Pairs sliced = cut(within, reverse, offset, limit);
    REQUIRE(collect(set, slice) == sliced);
    if (random.below(20) == 0) {
      REQUIRE(set.erase(slice) == sliced.size());
      for (const Pair& pair : sliced) model.scores.erase(pair.second);
      fixture.check(set, model);
    } else if (random.below(20) == 0) {
      Pairs popped;
      const size_t count = random.below(5);
      set.pop(reverse, count, [&](std::string_view m, double s) { popped.emplace_back(s, std::string(m)); });
      REQUIRE(popped == cut(all, reverse, 0, count));
      for (const Pair& pair : popped) model.scores.erase(pair.second);
    }
    fixture.check_account(set);
  }
  fixture.check(set, model);
}

}  // namespace

TEST_CASE("a sorted set does what a map ordered by score does", "[sorted_set]") {
  const uint64_t seed = test::history_seed();
  random_history(always_small(), seed, 60);
  random_history(always_large(), seed, 60);
  random_history(always_large(), seed, 280);
  Thresholds crossing;
  crossing.zset_max_listpack_entries = 20;
  random_history(crossing, seed, 200);
}

TEST_CASE("members of one score are found by range of members", "[sorted_set]") {
  const uint64_t seed = test::history_seed();
  CAPTURE(seed);
  for (const Thresholds& thresholds : {always_small(), always_large()}) {
    Random random(seed);
    Fixture fixture(thresholds);
    SortedSetValue set = SortedSetValue::create(fixture.keyspace, "key");
    Model model;
    for (int i = 0; i < 150; ++i) {
      const std::string member = random_member(random);
      set.set(member, 1);
      model.scores[member] = 1;
    }
    using Kind = LexBound::Kind;
    for (int tries = 0; tries < 400; ++tries) {
      const std::string low = random_member(random), high = random_member(random);
      const Kind kinds[] = {Kind::Lowest, Kind::Highest, Kind::Inclusive, Kind::Exclusive};
      const LexRange range{{kinds[random.below(4)], low}, {kinds[random.below(4)], high}};
      const auto is_below = [](const std::string& a, const LexBound& b) {
        return b.kind == Kind::Highest || (b.kind == Kind::Inclusive && a < b.value) ||
               (b.kind == Kind::Exclusive && a <= b.value);
      };
      const auto is_above = [](const std::string& a, const LexBound& b) {
        return b.kind == Kind::Lowest || (b.kind == Kind::Inclusive && a > b.value) ||
               (b.kind == Kind::Exclusive && a >= b.value);
      };
      Pairs within;
      for (const auto& [member, score] : model.scores)
        if (!is_below(member, range.min) && !is_above(member, range.max)) within.emplace_back(score, member);
      const bool reverse = random.below(2);
      const size_t offset = random.below(4), limit = random.below(200);
      REQUIRE(set.count(range) == within.size());
      REQUIRE(collect(set, set.slice(range, reverse, offset, limit)) == cut(within, reverse, offset, limit));
    }
    SECTION("scores that differ make the slice unspecified, not wrong to visit") {
      for (int i = 0; i < 100; ++i) set.set(random_member(random), random_score(random));
      for (int tries = 0; tries < 200; ++tries) {
        const std::string low = random_member(random), high = random_member(random);
        const LexRange range{{Kind::Inclusive, low}, {Kind::Exclusive, high}};
        const auto slice = set.slice(range, random.below(2), random.below(4), random.below(50));
        CHECK(collect(set, slice).size() == slice.count);
      }
    }
  }
}

TEST_CASE("options decide which scores change", "[sorted_set]") {
  for (const Thresholds& thresholds : {always_small(), always_large()}) {
    Fixture fixture(thresholds);
    SortedSetValue set = SortedSetValue::create(fixture.keyspace, "key");
    const auto result = [&](std::string_view member, double score, ScoreOptions options) {
      const ScoreResult got = set.set(member, score, options);
      return std::make_pair(got.change, got.score);
    };
    using std::make_pair;
    CHECK(result("a", 1, {.only_existing = true}).first == ScoreChange::Refused);
    CHECK(set.empty());
    CHECK(result("a", 1, {.only_new = true}) == make_pair(ScoreChange::Added, 1.0));
    CHECK(result("a", 2, {.only_new = true}) == make_pair(ScoreChange::Refused, 1.0));
    CHECK(result("a", 2, {.only_existing = true}) == make_pair(ScoreChange::Updated, 2.0));
    CHECK(result("a", 1, {.only_greater = true}) == make_pair(ScoreChange::Refused, 2.0));
    CHECK(result("a", 3, {.only_greater = true}) == make_pair(ScoreChange::Updated, 3.0));
    CHECK(result("a", 4, {.only_less = true}) == make_pair(ScoreChange::Refused, 3.0));
    CHECK(result("a", -4, {.only_less = true}) == make_pair(ScoreChange::Updated, -4.0));
    CHECK(result("b", 4, {.only_less = true}) == make_pair(ScoreChange::Added, 4.0));
    CHECK(result("b", 0.5, {.increment = true}) == make_pair(ScoreChange::Updated, 4.5));
    CHECK(result("b", -1, {.only_greater = true, .increment = true}) == make_pair(ScoreChange::Refused, 4.5));
    CHECK(result("c", 7, {.increment = true}) == make_pair(ScoreChange::Added, 7.0));
    CHECK(result("c", 0, {.increment = true}) == make_pair(ScoreChange::Unchanged, 7.0));
    CHECK(result("c", kInfinity, {}) == make_pair(ScoreChange::Updated, kInfinity));
    CHECK(result("c", -kInfinity, {.increment = true}).first == ScoreChange::NotANumber);
    CHECK(set.score("c") == kInfinity);
    CHECK(result("z", 0.0, {}).first == ScoreChange::Added);
    CHECK(result("z", -0.0, {}).first == ScoreChange::Unchanged);
  }
}

TEST_CASE("thresholds decide when a sorted set becomes large", "[sorted_set]") {
  Fixture fixture;
  SortedSetValue set = SortedSetValue::create(fixture.keyspace, "key");
  for (int i = 0; i < 128; ++i) set.set(std::to_string(i), i);
  set.set(std::string(64, 'x'), 5);
  CHECK(encoding_name(*set.entry) == "skiplist");

  Fixture other;
  SortedSetValue small = SortedSetValue::create(other.keyspace, "key");
  for (int i = 0; i < 127; ++i) small.set(std::to_string(i), i);
  small.set(std::string(64, 'x'), 5);
  CHECK(encoding_name(*small.entry) == "listpack");
  small.erase("1");
  small.set(std::string(65, 'x'), 6);
  CHECK(encoding_name(*small.entry) == "skiplist");
  CHECK(small.size() == 128);
  small.erase(small.slice(0, 100));
  CHECK(encoding_name(*small.entry) == "skiplist");
  other.check_account(small);
}

TEST_CASE("a small sorted set becomes large before its block overflows", "[sorted_set]") {
  Fixture fixture(always_small());
  SortedSetValue set = SortedSetValue::create(fixture.keyspace, "key");
  Model model;
  const auto add = [&](std::string member, double score) {
    set.set(member, score);
    model.scores[std::move(member)] = score;
  };
  for (int i = 0; i < 15; ++i) add(std::string(4096, static_cast<char>('a' + i)), 20 - i);
  add(std::string(4095, '~'), 7);
  CHECK(set.entry->encoding() == Encoding::Packed);
  fixture.check(set, model);
  add(std::string(4096, 'a'), -3);
  fixture.check(set, model);
  add("!", 9);
  CHECK(set.entry->encoding() == Encoding::Table);
  fixture.check(set, model);
}

TEST_CASE("a sorted set is assigned whole, also from itself", "[sorted_set]") {
  for (const size_t count : {5u, 1000u}) {
    Fixture fixture;
    std::vector<std::string> names;
    for (size_t i = 0; i < count; ++i) names.push_back("member:" + std::to_string(10000 + i));
    std::vector<ScoredMember> members;
    Model model;
    for (size_t i = 0; i < count; ++i) {
      members.push_back({names[i], static_cast<double>(i / 2)});
      model.scores[names[i]] = static_cast<double>(i / 2);
    }
    SortedSetValue set = SortedSetValue::assign(fixture.keyspace, nullptr, "key", members);
    fixture.check(set, model);
    fixture.keyspace.set_expiry(set.entry, 1234);

    members.clear();
    set.visit(set.slice(1, 3), [&](std::string_view member, double score) {
      members.push_back({member, score});
      return true;
    });
    Model some;
    for (size_t i = 1; i < 4; ++i) some.scores[names[i]] = static_cast<double>(i / 2);
    SortedSetValue again = SortedSetValue::assign(fixture.keyspace, set.entry, "key", members);
    fixture.check(again, some);
    CHECK(again.entry->expiry() == -1);
  }
}

TEST_CASE("a clone is equal and apart", "[sorted_set]") {
  for (const Thresholds& thresholds : {always_small(), always_large()}) {
    Fixture fixture(thresholds);
    SortedSetValue set = SortedSetValue::create(fixture.keyspace, "key");
    for (int i = 0; i < 500; ++i) set.set(std::to_string(i * 7 % 500), i % 11);
    Entry* copied = Keyspace::clone(*set.entry, "copy");
    fixture.keyspace.insert(copied);
    SortedSetValue copy(fixture.keyspace, copied);
    CHECK(collect(copy) == collect(set));
    set.set("1", 1000);
    CHECK(copy.score("1") < 1000);
    copy.erase("2");
    CHECK(set.score("2").has_value());
    CHECK(fixture.keyspace.memory() ==
          fixture.keyspace.table_memory() + memory_of(*set.entry) + memory_of(*copy.entry));
    fixture.keyspace.erase(set.entry);
    CHECK(copy.size() == 499);
  }
}

TEST_CASE("a scan visits all that stays, samples are different, draws are members", "[sorted_set]") {
  const uint64_t seed = test::history_seed();
  CAPTURE(seed);
  for (const Thresholds& thresholds : {always_small(), always_large()}) {
    Random random(seed);
    Fixture fixture(thresholds);
    SortedSetValue set = SortedSetValue::create(fixture.keyspace, "key");
    for (int i = 0; i < 1000; ++i) set.set(std::to_string(i), i);
    std::set<std::string> seen;
    uint64_t cursor = 0;
    int next = 1000;
    do {
      cursor = set.scan(cursor, 10, [&](std::string_view member, double score) {
        CHECK(std::to_string(static_cast<int>(score)) == member);
        seen.emplace(member);
      });
      for (int i = 0; i < 50 && next < 3000; ++i, ++next) set.set(std::to_string(next), next);
    } while (cursor != 0);
    for (int i = 0; i < 1000; ++i) CHECK(seen.contains(std::to_string(i)));

    for (const size_t count : {0u, 1u, 30u, 900u, 100000u}) {
      std::set<std::string> sampled;
      size_t visits = 0;
      set.sample(count, random, [&](std::string_view member, double) {
        sampled.emplace(member);
        ++visits;
      });
      CHECK(visits == std::min(count, set.size()));
      CHECK(sampled.size() == visits);
    }
    size_t drawn = 0;
    std::set<std::string> different;
    set.draw(2000, random, [&](std::string_view member, double score) {
      ++drawn;
      different.emplace(member);
      CHECK(set.score(member) == score);
    });
    CHECK(drawn == 2000);
    CHECK(different.size() > 300);
  }
}

}  // namespace quartet::storage
