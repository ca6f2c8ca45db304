#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "storage/hash.h"
#include "storage/keyspace.h"
#include "storage/sorted_set.h"
#include "storage/string.h"

namespace quartet::storage {

namespace {

constexpr int64_t kSmall = 100, kLarge = 1'000'000;

struct Discard final : KeyspaceObserver {
  void expired(Keyspace&, std::string_view) override {}
  void reclaim(std::unique_ptr<Garbage>) override {}
};

struct Store {
  Discard observer;
  Keyspace keyspace{0, observer};
};

/// Names as redis-benchmark makes them: a word and twelve digits.
std::string name(std::string_view word, uint64_t number) {
  const std::string digits = std::to_string(number);
  std::string made(word);
  made.append(12 - digits.size(), '0').append(digits);
  return made;
}

std::vector<std::string> names(std::string_view word, int64_t count) {
  std::vector<std::string> made;
  made.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) made.push_back(name(word, static_cast<uint64_t>(i)));
  return made;
}

struct Item {
  std::string key;
};
struct ItemTraits {
  using Item = storage::Item;
  static std::string_view key(const storage::Item& item) { return item.key; }
};

std::vector<Item> make_items(int64_t count) {
  std::vector<Item> items;
  for (std::string& key : names("key:", count)) items.push_back({std::move(key)});
  return items;
}

void count_items(benchmark::State& state, int64_t each = 1) { state.SetItemsProcessed(state.iterations() * each); }

void dict_insert(benchmark::State& state) {
  std::vector<Item> items = make_items(state.range(0));
  for (auto _ : state) {
    Dict<ItemTraits> dict;
    for (Item& item : items) dict.insert(dict.hash(item.key), &item);
    benchmark::DoNotOptimize(dict.size());
  }
  count_items(state, state.range(0));
}
BENCHMARK(dict_insert)->Arg(kSmall)->Arg(kLarge)->Unit(benchmark::kMicrosecond);

void dict_find(benchmark::State& state) {
  std::vector<Item> items = make_items(state.range(0));
  Dict<ItemTraits> dict;
  for (Item& item : items) dict.insert(dict.hash(item.key), &item);
  Random random(1);
  for (auto _ : state) benchmark::DoNotOptimize(dict.find(items[random.below(items.size())].key));
  count_items(state);
}
BENCHMARK(dict_find)->Arg(kSmall)->Arg(kLarge);

void string_set(benchmark::State& state) {
  Store store;
  const std::vector<std::string> keys = names("key:", state.range(0));
  const std::string value(static_cast<size_t>(state.range(1)), 'x');
  Random random(1);
  for (auto _ : state) {
    const std::string& key = keys[random.below(keys.size())];
    benchmark::DoNotOptimize(StringValue::assign(store.keyspace, store.keyspace.find(key, 0), key, value));
  }
  count_items(state);
}
BENCHMARK(string_set)->Args({kSmall, 3})->Args({kLarge, 3})->Args({kLarge, 100});

void string_get(benchmark::State& state) {
  Store store;
  const std::vector<std::string> keys = names("key:", state.range(0));
  for (const std::string& key : keys) StringValue::assign(store.keyspace, nullptr, key, "xxx");
  Random random(1);
  char scratch[kNumberChars];
  for (auto _ : state) {
    Entry* entry = store.keyspace.find(keys[random.below(keys.size())], 0);
    benchmark::DoNotOptimize(StringValue(store.keyspace, entry).view(scratch).data());
  }
  count_items(state);
}
BENCHMARK(string_get)->Arg(kSmall)->Arg(kLarge);

void hash_set(benchmark::State& state) {
  Store store;
  HashValue hash = HashValue::create(store.keyspace, "key");
  const std::vector<std::string> fields = names("field:", state.range(0));
  Random random(1);
  for (auto _ : state) benchmark::DoNotOptimize(hash.set(fields[random.below(fields.size())], "xxx"));
  count_items(state);
}
BENCHMARK(hash_set)->Arg(kSmall)->Arg(kLarge);

void hash_get(benchmark::State& state) {
  Store store;
  HashValue hash = HashValue::create(store.keyspace, "key");
  const std::vector<std::string> fields = names("field:", state.range(0));
  for (const std::string& field : fields) hash.set(field, "xxx");
  Random random(1);
  char scratch[kNumberChars];
  for (auto _ : state) benchmark::DoNotOptimize(hash.get(fields[random.below(fields.size())], scratch));
  count_items(state);
}
BENCHMARK(hash_get)->Arg(kSmall)->Arg(kLarge);

/// A sorted set of `count` members with scores below `scores`, of which 1 is redis-benchmark's choice.
struct SortedSetFixture {
  SortedSetFixture(int64_t count, int64_t scores)
      : members(names("element:", count)), value(SortedSetValue::create(store.keyspace, "key")), random(1) {
    for (const std::string& member : members) value.set(member, score(scores));
  }
  double score(int64_t scores) { return static_cast<double>(random.below(static_cast<uint64_t>(scores))); }
  const std::string& member() { return members[random.below(members.size())]; }

  Store store;
  std::vector<std::string> members;
  SortedSetValue value;
  Random random;
};

/// Erases a member and adds it again at another place, so that the size remains.
void sorted_set_erase_and_add(benchmark::State& state) {
  SortedSetFixture set(state.range(0), state.range(1));
  for (auto _ : state) {
    const std::string& member = set.member();
    set.value.erase(member);
    benchmark::DoNotOptimize(set.value.set(member, set.score(state.range(1))));
  }
  count_items(state);
  state.counters["bytes/member"] =
      static_cast<double>(set.store.keyspace.memory()) / static_cast<double>(set.value.size());
}
BENCHMARK(sorted_set_erase_and_add)
    ->Args({kSmall, 1})->Args({kSmall, kLarge})->Args({kLarge, 1})->Args({kLarge, kLarge});

void sorted_set_update(benchmark::State& state) {
  SortedSetFixture set(state.range(0), kLarge);
  for (auto _ : state) benchmark::DoNotOptimize(set.value.set(set.member(), set.score(kLarge)));
  count_items(state);
}
BENCHMARK(sorted_set_update)->Arg(kSmall)->Arg(kLarge);

void sorted_set_rank(benchmark::State& state) {
  SortedSetFixture set(state.range(0), kLarge);
  for (auto _ : state) benchmark::DoNotOptimize(set.value.rank(set.member()));
  count_items(state);
}
BENCHMARK(sorted_set_rank)->Arg(kSmall)->Arg(kLarge);

/// A hundred members from a score on, as a page of a leaderboard.
void sorted_set_range(benchmark::State& state) {
  SortedSetFixture set(state.range(0), kLarge);
  size_t bytes = 0;
  for (auto _ : state) {
    const auto slice = set.value.slice(ScoreRange{.min = set.score(kLarge)}, false, 0, 100);
    set.value.visit(slice, [&](std::string_view member, double) {
      bytes += member.size();
      return true;
    });
  }
  benchmark::DoNotOptimize(bytes);
  count_items(state);
}
BENCHMARK(sorted_set_range)->Arg(kSmall)->Arg(kLarge);

void sorted_set_visit(benchmark::State& state) {
  SortedSetFixture set(state.range(0), kLarge);
  size_t bytes = 0;
  for (auto _ : state)
    set.value.for_each([&](std::string_view member, double) {
      bytes += member.size();
      return true;
    });
  benchmark::DoNotOptimize(bytes);
  count_items(state, state.range(0));
}
BENCHMARK(sorted_set_visit)->Arg(kSmall)->Arg(kLarge);

}  // namespace

}  // namespace quartet::storage

BENCHMARK_MAIN();
