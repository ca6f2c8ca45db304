#include "storage/dict.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "random_history.h"

using namespace quartet;
using namespace quartet::storage;

namespace {

struct Word {
  std::string text;
};
struct WordTraits {
  using Item = Word;
  static std::string_view key(const Word& word) { return word.text; }
};

/// A dict of words together with the words and a model of what is in it.
class Dictionary {
 public:
  struct Known {
    std::unique_ptr<Word> word;
    bool mark;
  };

  void insert(const std::string& text, bool mark = false) {
    auto word = std::make_unique<Word>(Word{text});
    dict.insert(dict.hash(text), word.get(), mark);
    model[text] = {std::move(word), mark};
  }
  void erase(const std::string& text) {
    const auto known = model.find(text);
    Word* erased = dict.erase(dict.hash(text), text);
    REQUIRE(erased == (known == model.end() ? nullptr : known->second.word.get()));
    if (known != model.end()) model.erase(known);
  }
  /// Compares everything the dict can be asked with the model.
  void check() const {
    REQUIRE(dict.size() == model.size());
    size_t seen = 0, wrong = 0;
    dict.for_each([&](const Word& word, bool mark) {
      ++seen;
      const auto known = model.find(word.text);
      wrong += known == model.end() || known->second.word.get() != &word || known->second.mark != mark;
      return true;
    });
    CHECK(seen == model.size());
    CHECK(wrong == 0);
    for (const auto& [text, known] : model) wrong += dict.find(text) != known.word.get();
    CHECK(wrong == 0);
  }

  Dict<WordTraits> dict;
  std::unordered_map<std::string, Known> model;
};

std::string numbered(uint64_t number) { return "word:" + std::to_string(number); }

}  // namespace

TEST_CASE("An empty dict answers") {
  Dict<WordTraits> dict;
  Random random(1);
  CHECK(dict.find("a") == nullptr);
  CHECK(dict.erase(dict.hash("a"), "a") == nullptr);
  CHECK(dict.random(random) == nullptr);
  CHECK(dict.memory() == 0);
  CHECK(dict.scan(0, [](Word&) { FAIL("there is nothing to visit"); }) == 0);
  CHECK(dict.scan(12345, [](Word&) { FAIL("there is nothing to visit"); }) == 0);
  CHECK(dict.walk_marked(0, 10, [](Word&) { FAIL("there is nothing to visit"); }) == 0);
}

TEST_CASE("A dict agrees with a map over a random history") {
  const uint64_t seed = test::history_seed();
  CAPTURE(seed);
  Random random(seed);
  // Histories lean to growth, then to shrinkage, at several sizes.
  for (const uint64_t words : {5, 40, 600, 5000, 40000}) {
    CAPTURE(words);
    Dictionary dictionary;
    for (const uint64_t inserts_of_ten : {8, 2, 6, 1}) {
      for (uint64_t step = 0; step < 2 * words; ++step) {
        const std::string text = numbered(random.below(words));
        const auto known = dictionary.model.find(text);
        if (known != dictionary.model.end() && random.below(8) == 0) {
          known->second.mark = !known->second.mark;
          dictionary.dict.set_mark(dictionary.dict.hash(text), known->second.word.get(), known->second.mark);
        } else if (known != dictionary.model.end() && random.below(8) == 0) {
          auto replacement = std::make_unique<Word>(Word{text});
          dictionary.dict.replace(dictionary.dict.hash(text), known->second.word.get(), replacement.get(),
                                  known->second.mark);
          known->second.word = std::move(replacement);
        } else if (random.below(10) < inserts_of_ten) {
          if (known == dictionary.model.end()) dictionary.insert(text, random.below(3) == 0);
        } else {
          dictionary.erase(text);
        }
      }
      dictionary.check();
    }
  }
}

TEST_CASE("A dict of many words grows and gives its memory back") {
  constexpr uint64_t kWords = 200000;
  Dictionary dictionary;
  for (uint64_t i = 0; i < kWords; ++i) dictionary.insert(numbered(i));
  dictionary.check();
  const size_t full = dictionary.dict.memory();
  CHECK(full < 21 * kWords);
  for (uint64_t i = 0; i < kWords - kWords / 100; ++i) dictionary.erase(numbered(i));
  dictionary.check();
  CHECK(dictionary.dict.memory() < full / 8);
  for (uint64_t i = kWords - kWords / 100; i < kWords; ++i) dictionary.erase(numbered(i));
  CHECK(dictionary.dict.empty());
  CHECK(dictionary.dict.memory() < 1024);
  for (uint64_t i = 0; i < 100; ++i) dictionary.insert(numbered(i));
  dictionary.check();
}

TEST_CASE("A scan meets everything that is there all the time, however the dict changes between its calls") {
  const uint64_t seed = test::history_seed();
  CAPTURE(seed);
  Random random(seed);
  for (const uint64_t words : {3, 100, 2000, 30000}) {
    for (const uint64_t inserts_of_ten : {0, 5, 10}) {
      CAPTURE(words, inserts_of_ten);
      Dictionary dictionary;
      for (uint64_t i = 0; i < words; ++i) dictionary.insert(numbered(i));
      // Every tenth word stays; the others, and new ones, come and go.
      std::set<std::string> missing;
      for (uint64_t i = 0; i < words; i += 10) missing.insert(numbered(i));
      uint64_t cursor = 0, calls = 0;
      do {
        cursor = dictionary.dict.scan(cursor, [&](Word& word) {
          CHECK(dictionary.model.count(word.text) == 1);
          missing.erase(word.text);
        });
        ++calls;
        for (int change = 0; change < 40; ++change) {
          uint64_t number = random.below(4 * words + 40);
          if (number % 10 == 0) ++number;
          const std::string text = numbered(number);
          const bool known = dictionary.model.count(text) == 1;
          if (random.below(10) < inserts_of_ten) {
            if (!known) dictionary.insert(text);
          } else if (known) {
            dictionary.erase(text);
          }
        }
      } while (cursor != 0);
      CHECK(missing.empty());
      CHECK(calls <= 8 * words + 64);
      dictionary.check();
    }
  }
}

TEST_CASE("A scan of a dict that rests meets each word exactly once") {
  for (const uint64_t words : {1, 7, 8, 100, 448, 449, 10000}) {
    Dictionary dictionary;
    for (uint64_t i = 0; i < words; ++i) dictionary.insert(numbered(i));
    std::map<std::string, int> met;
    uint64_t cursor = 0;
    do cursor = dictionary.dict.scan(cursor, [&](Word& word) { ++met[word.text]; });
    while (cursor != 0);
    CHECK(met.size() == words);
    for (const auto& [word, times] : met)
      if (times != 1) FAIL(word);
  }
}

TEST_CASE("The walk of marked items meets each of them once and no other") {
  for (const uint64_t words : {1, 50, 20000}) {
    Dictionary dictionary;
    for (uint64_t i = 0; i < words; ++i) dictionary.insert(numbered(i), i % 3 == 0);
    std::map<std::string, int> met;
    uint64_t cursor = 0;
    do cursor = dictionary.dict.walk_marked(cursor, 5, [&](Word& word) { ++met[word.text]; });
    while (cursor != 0);
    CHECK(met.size() == (words + 2) / 3);
    for (const auto& [word, times] : met)
      if (times != 1 || !dictionary.model.at(word).mark) FAIL(word);
  }
}

TEST_CASE("A random item is any of them with about the same frequency") {
  const uint64_t seed = test::history_seed();
  CAPTURE(seed);
  Random random(seed);
  for (const uint64_t words : {10, 449, 1000, 3000}) {
    CAPTURE(words);
    Dictionary dictionary;
    for (uint64_t i = 0; i < words; ++i) dictionary.insert(numbered(i));
    std::unordered_map<const Word*, uint64_t> drawn;
    constexpr uint64_t kTimes = 100;
    for (uint64_t i = 0; i < kTimes * words; ++i) ++drawn[dictionary.dict.random(random)];
    CHECK(drawn.size() == words);
    // Pearson's statistic has the mean `words` and the variance 2 * `words`; ten deviations never happen by chance.
    double statistic = 0;
    for (const auto& [word, times] : drawn) {
      const double difference = static_cast<double>(times) - kTimes;
      statistic += difference * difference / kTimes;
    }
    CHECK(statistic < static_cast<double>(words) + 10 * std::sqrt(2.0 * static_cast<double>(words)));
  }
}

TEST_CASE("A dict can be cleared, swapped and moved") {
  Dictionary one, two;
  for (uint64_t i = 0; i < 1000; ++i) one.insert(numbered(i));
  for (uint64_t i = 0; i < 3; ++i) two.insert(numbered(i));
  one.dict.swap(two.dict);
  std::swap(one.model, two.model);
  one.check();
  two.check();
  Dict<WordTraits> moved(std::move(two.dict));
  CHECK(moved.size() == 1000);
  CHECK(moved.find(numbered(999)) != nullptr);
  moved.clear();
  CHECK(moved.empty());
  CHECK(moved.memory() == 0);
  CHECK(moved.find(numbered(999)) == nullptr);
}

TEST_CASE("Words that are erased in the order of the table leave the others where they are found") {
  // As expiry and SCAN with DEL do. What remains is close together in the order of hashes when segments merge.
  for (uint64_t words : {1000, 3000, 4000, 5000, 9000, 20000}) {
    CAPTURE(words);
    Dictionary dictionary;
    for (uint64_t i = 0; i < words; ++i) dictionary.insert(numbered(i));
    std::vector<std::string> order;
    dictionary.dict.for_each([&](const Word& word, bool) { return order.push_back(word.text), true; });
    for (const std::string& text : order) {
      dictionary.erase(text);
      if (dictionary.dict.size() % 64 == 0) dictionary.check();
    }
    CHECK(dictionary.dict.empty());
  }
}

TEST_CASE("A dict with room for what is to come does not grow for it, and grows beyond") {
  for (const uint64_t words : {0, 1, 7, 8, 500, 3000, 100000}) {
    Dictionary dictionary;
    dictionary.dict.reserve(words);
    const size_t reserved = dictionary.dict.memory();
    CHECK(reserved < 21 * words + 1024);
    for (uint64_t i = 0; i < words; ++i) {
      const std::string text = numbered(i);
      auto word = std::make_unique<Word>(Word{text});
      REQUIRE(dictionary.dict.insert_new(dictionary.dict.hash(text), word.get(), i % 3 == 0));
      dictionary.model[text] = {std::move(word), i % 3 == 0};
      Word again{text};
      REQUIRE_FALSE(dictionary.dict.insert_new(dictionary.dict.hash(text), &again, false));
    }
    dictionary.check();
    if (words > 3000) CHECK(dictionary.dict.memory() < reserved + reserved / 20);
    for (uint64_t i = words; i < 2 * words; ++i) dictionary.insert(numbered(i));
    dictionary.check();
    for (uint64_t i = 0; i < 2 * words; ++i) dictionary.erase(numbered(i));
    CHECK(dictionary.dict.memory() < 1024);
  }
}
