#include "storage/hash.h"

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

using Pairs = std::vector<std::pair<std::string, std::string>>;

Pairs contents(const HashValue& hash) {
  Pairs pairs;
  hash.for_each([&](std::string_view field, std::string_view value) {
    pairs.emplace_back(field, value);
    return true;
  });
  return pairs;
}

std::map<std::string, std::string> sorted(const Pairs& pairs) {
  std::map<std::string, std::string> map(pairs.begin(), pairs.end());
  REQUIRE(map.size() == pairs.size());
  return map;
}

/// A model that keeps the order in which fields were added, as a packed hash does.
class Model {
 public:
  bool set(const std::string& field, const std::string& value) {
    for (auto& pair : pairs)
      if (pair.first == field) {
        pair.second = value;
        return false;
      }
    pairs.emplace_back(field, value);
    return true;
  }
  bool erase(const std::string& field) {
    for (auto at = pairs.begin(); at != pairs.end(); ++at)
      if (at->first == field) {
        pairs.erase(at);
        return true;
      }
    return false;
  }
  Pairs pairs;
};

}  // namespace

TEST_CASE("A hash agrees with a model over a random history, packed and as a table") {
  const uint64_t seed = test::history_seed();
  CAPTURE(seed);
  Random random(seed);
  char scratch[kNumberChars];
  for (const int64_t entries : {100000, 20, 0}) {
    CAPTURE(entries);
    Thresholds thresholds;
    thresholds.hash_max_listpack_entries = entries;
    test::Observer observer;
    Keyspace keyspace(0, observer, thresholds);
    HashValue hash = HashValue::create(keyspace, "a hash");
    Model model;
    for (int step = 0; step < 3000; ++step) {
      // Now and then a value of the size that gets a block of its own.
      const std::string field = test::random_text(random, entries == 100000 ? 64 : 300);
      std::string value = test::random_text(random, entries == 100000 ? 64 : 300);
      if (entries == 0 && random.below(10) == 0) value.assign(4000 + random.below(200), 'v');
      if (random.below(3) < 2) {
        REQUIRE(hash.set(field, value) == model.set(field, value));
      } else {
        REQUIRE(hash.erase(field) == model.erase(field));
      }
      REQUIRE(hash.size() == model.pairs.size());
      if (step % 100 == 0) {
        if (entries == 100000) CHECK((contents(hash) == model.pairs));
        CHECK((sorted(contents(hash)) == sorted(model.pairs)));
        CHECK(keyspace.memory() == test::memory_by_counting(keyspace));
        for (const auto& [known, content] : model.pairs) {
          REQUIRE(hash.contains(known));
          REQUIRE(hash.get(known, scratch) == std::string_view(content));
          const SharedBytes block = hash.shared(known);
          REQUIRE(bool(block) == (content.size() > FieldItem::kSharedValueBytes));
          if (block) REQUIRE(block.view() == content);
        }
        REQUIRE_FALSE(hash.contains("no such field"));
        REQUIRE_FALSE(hash.get("no such field", scratch));
        REQUIRE_FALSE(hash.shared("no such field"));
      }
    }
    CHECK(length_of(*hash.entry) == model.pairs.size());
    if (entries == 100000) CHECK(hash.entry->encoding() == Encoding::Packed);
    if (entries == 0) CHECK(hash.entry->encoding() == Encoding::Table);
    while (!model.pairs.empty()) {
      const std::string field = model.pairs.back().first;
      CHECK(hash.erase(field));
      model.pairs.pop_back();
    }
    CHECK(hash.empty());
    CHECK(keyspace.memory() == test::memory_by_counting(keyspace));
  }
}

TEST_CASE("A hash becomes a table by the number of its fields and by the length of a field or value") {
  test::Observer observer;
  Keyspace keyspace(0, observer);
  const std::string limit(64, 'x'), over(65, 'x');

  HashValue many = HashValue::create(keyspace, "many");
  for (int i = 0; i < 512; ++i) many.set("f" + std::to_string(i), std::to_string(i));
  many.set("f0", limit);
  CHECK(encoding_name(*many.entry) == "listpack");
  many.set("f512", "1");
  CHECK(encoding_name(*many.entry) == "hashtable");
  CHECK(many.size() == 513);

  HashValue field = HashValue::create(keyspace, "field");
  field.set(limit, limit);
  CHECK(encoding_name(*field.entry) == "listpack");
  field.set(over, "1");
  CHECK(encoding_name(*field.entry) == "hashtable");

  HashValue value = HashValue::create(keyspace, "value");
  value.set("a", "1");
  value.set("a", over);
  CHECK(encoding_name(*value.entry) == "hashtable");
  CHECK(value.size() == 1);
  value.erase("a");
  CHECK(encoding_name(*value.entry) == "hashtable");
}

TEST_CASE("A field's value is replaced in a table whatever the lengths of both") {
  Thresholds thresholds;
  thresholds.hash_max_listpack_entries = 0;
  test::Observer observer;
  Keyspace keyspace(0, observer, thresholds);
  HashValue hash = HashValue::create(keyspace, "h");
  char scratch[kNumberChars];
  const size_t lengths[] = {0, 1, 8, 255, 256, 257, 4095, 4096, 4097, 100000};
  for (const std::string& field : {std::string("f"), std::string(255, 'f'), std::string(256, 'f')})
    for (const size_t from : lengths)
      for (const size_t to : lengths) {
        hash.set(field, std::string(from, 'a'));
        const SharedBytes held = hash.shared(field);
        hash.set(field, std::string(to, 'b'));
        REQUIRE(hash.get(field, scratch) == std::string_view(std::string(to, 'b')));
        // What a reply refers to outlives the value.
        if (held) REQUIRE(held.view() == std::string(from, 'a'));
        REQUIRE(keyspace.memory() == test::memory_by_counting(keyspace));
      }
}

TEST_CASE("Scanning a hash meets every field, and choosing fields at random is fair") {
  const uint64_t seed = test::history_seed();
  CAPTURE(seed);
  Random random(seed);
  test::Observer observer;
  Keyspace keyspace(0, observer);
  for (const size_t fields : {1, 30, 600, 5000}) {
    CAPTURE(fields);
    HashValue hash = HashValue::create(keyspace, "h" + std::to_string(fields));
    for (size_t i = 0; i < fields; ++i) hash.set("field" + std::to_string(i), std::to_string(i));

    std::set<std::string> met;
    uint64_t cursor = 0;
    do
      cursor = hash.scan(cursor, 10, [&](std::string_view field, std::string_view value) {
        CHECK(field == "field" + std::string(value));
        met.emplace(field);
      });
    while (cursor != 0);
    CHECK(met.size() == fields);

    for (const size_t wanted : {size_t{0}, size_t{1}, fields / 10, fields / 2, fields, fields + 5}) {
      std::set<std::string> sample;
      size_t times = 0;
      hash.sample(wanted, random, [&](std::string_view field, std::string_view value) {
        CHECK(field == "field" + std::string(value));
        sample.emplace(field);
        ++times;
      });
      CHECK(times == std::min(wanted, fields));
      CHECK(sample.size() == times);
    }

    if (fields > 600) continue;
    for (const size_t at_once : {size_t{1}, size_t{50}}) {
      std::map<std::string, size_t> drawn;
      const size_t each = 200;
      for (size_t i = 0; i < fields * each / at_once; ++i)
        hash.draw(at_once, random, [&](std::string_view field, std::string_view) { ++drawn[std::string(field)]; });
      CHECK(drawn.size() == fields);
      // The deviation of each count is about 14; eight of them do not happen by chance.
      for (const auto& [field, times] : drawn)
        if (times < each - 113 || times > each + 113) FAIL_CHECK(field << " was drawn " << times << " times");
    }
  }
  HashValue empty = HashValue::create(keyspace, "empty");
  empty.draw(5, random, [](std::string_view, std::string_view) { FAIL("there is nothing to draw"); });
  empty.sample(5, random, [](std::string_view, std::string_view) { FAIL("there is nothing to draw"); });
}

TEST_CASE("A clone of a large hash is independent of it") {
  test::Observer observer;
  Keyspace keyspace(0, observer);
  HashValue hash = HashValue::create(keyspace, "h");
  for (int i = 0; i < 2000; ++i) hash.set("f" + std::to_string(i), std::string(static_cast<size_t>(i) * 3, 'x'));
  keyspace.insert(Keyspace::clone(*hash.entry, "copy"));
  HashValue copy(keyspace, keyspace.find_raw("copy"));
  CHECK(sorted(contents(copy)) == sorted(contents(hash)));
  CHECK(keyspace.memory() == test::memory_by_counting(keyspace));
  hash.set("f1999", "changed");
  hash.erase("f1998");
  char scratch[kNumberChars];
  CHECK(copy.get("f1999", scratch)->size() == 5997);
  CHECK(copy.contains("f1998"));
  CHECK(keyspace.memory() == test::memory_by_counting(keyspace));
}
