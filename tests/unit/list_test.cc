#include "storage/list.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <deque>
#include <string>
#include <vector>

#include "keyspace_fixture.h"
#include "random_history.h"

using namespace quartet;
using namespace quartet::storage;

namespace {

using Model = std::deque<std::string>;

Model contents(const ListValue& list, size_t start, size_t count, End from = End::Head) {
  Model elements;
  list.for_each(start, count, [&](std::string_view text) { return elements.emplace_back(text), true; }, from);
  return elements;
}
Model contents(const ListValue& list) { return contents(list, 0, list.size()); }

size_t remove_from(Model& model, const std::string& value, End from, size_t most) {
  size_t removed = 0;
  if (from == End::Tail) std::reverse(model.begin(), model.end());
  for (auto at = model.begin(); at != model.end() && (most == 0 || removed < most);) {
    if (*at == value) {
      at = model.erase(at);
      ++removed;
    } else {
      ++at;
    }
  }
  if (from == End::Tail) std::reverse(model.begin(), model.end());
  return removed;
}

std::vector<size_t> positions(const Model& model, const std::string& value, End from, size_t compare) {
  std::vector<size_t> found;
  const size_t size = model.size();
  for (size_t i = 0; i < size && (compare == 0 || i < compare); ++i) {
    const size_t index = from == End::Head ? i : size - 1 - i;
    if (model[index] == value) found.push_back(index);
  }
  return found;
}

/// One step of a random history, done to both.
void step(ListValue& list, Model& model, Random& random, size_t longest, uint64_t pushes_of_ten) {
  const End end = random.below(2) ? End::Head : End::Tail;
  const std::string value = test::random_text(random, longest);
  const std::string known = !model.empty() && random.below(4) ? model[random.below(model.size())] : value;
  if (random.below(10) < pushes_of_ten || model.empty()) {
    list.push(end, value);
    end == End::Head ? model.push_front(value) : model.push_back(value);
    return;
  }
  switch (random.below(8)) {
    case 0: {
      const size_t index = random.below(model.size());
      list.set(index, value);
      model[index] = value;
      return;
    }
    case 1: {
      const bool before = random.below(2);
      const auto pivot = std::find(model.begin(), model.end(), known);
      REQUIRE(list.insert(known, before, value) == (pivot != model.end()));
      if (pivot != model.end()) model.insert(before ? pivot : pivot + 1, value);
      return;
    }
    case 2: {
      const size_t most = random.below(4);
      REQUIRE(list.remove(known, end, most) == remove_from(model, known, end, most));
      return;
    }
    case 3: {
      if (random.below(20) > 0) return;
      const size_t start = random.below(model.size()), count = random.below(model.size() - start + 1);
      list.trim(start, count);
      model = Model(model.begin() + static_cast<std::ptrdiff_t>(start),
                    model.begin() + static_cast<std::ptrdiff_t>(start + count));
      return;
    }
    case 4: {
      const End to = random.below(2) ? End::Head : End::Tail;
      list.move(end, list, to);
      const std::string moved = end == End::Head ? model.front() : model.back();
      end == End::Head ? model.pop_front() : model.pop_back();
      to == End::Head ? model.push_front(moved) : model.push_back(moved);
      return;
    }
    default: {
      char scratch[kNumberChars];
      REQUIRE(list.peek(end, scratch) == (end == End::Head ? model.front() : model.back()));
      const size_t count = random.below(std::min<size_t>(model.size(), 20)) + 1;
      list.drop(end, count);
      for (size_t i = 0; i < count; ++i) end == End::Head ? model.pop_front() : model.pop_back();
      return;
    }
  }
}

void check(const ListValue& list, const Model& model, Random& random) {
  REQUIRE(list.size() == model.size());
  REQUIRE(length_of(*list.entry) == model.size());
  REQUIRE(list.empty() == model.empty());
  REQUIRE(contents(list) == model);
  if (model.empty()) return;
  char scratch[kNumberChars];
  Model reversed(model.rbegin(), model.rend());
  REQUIRE(contents(list, model.size() - 1, model.size(), End::Tail) == reversed);
  for (int i = 0; i < 10; ++i) {
    const size_t index = random.below(model.size());
    REQUIRE(list.at(index, scratch) == model[index]);
    const size_t count = random.below(model.size() - index) + 1;
    REQUIRE(contents(list, index, count) == Model(model.begin() + static_cast<std::ptrdiff_t>(index),
                                                  model.begin() + static_cast<std::ptrdiff_t>(index + count)));
    const End from = random.below(2) ? End::Head : End::Tail;
    const size_t compare = random.below(3) ? random.below(2 * model.size()) : 0;
    std::vector<size_t> found;
    list.find(model[index], from, compare, [&](size_t position) { return found.push_back(position), true; });
    REQUIRE(found == positions(model, model[index], from, compare));
  }
}

}  // namespace

TEST_CASE("A list agrees with a model over a random history at every size of its nodes") {
  const uint64_t seed = test::history_seed();
  CAPTURE(seed);
  Random random(seed);
  for (const int64_t setting : {-2, -1, -5, 1, 2, 5, 128, 0}) {
    CAPTURE(setting);
    Thresholds thresholds;
    thresholds.list_max_listpack_size = setting;
    test::Observer observer;
    Keyspace keyspace(0, observer, thresholds);
    ListValue list = ListValue::create(keyspace, "a list");
    Model model;
    for (const uint64_t pushes_of_ten : {8, 3, 9, 2}) {
      // Elements up to 70 bytes; in the third part of the history some that are as long as a node.
      const size_t longest = pushes_of_ten == 9 ? 10000 : 70;
      for (int i = 0; i < 1000; ++i) {
        step(list, model, random, longest, pushes_of_ten);
        if (i % 50 == 0) {
          check(list, model, random);
          REQUIRE(keyspace.memory() == test::memory_by_counting(keyspace));
        }
      }
    }
    list.drop(End::Tail, list.size());
    CHECK(list.empty());
    CHECK(keyspace.memory() == test::memory_by_counting(keyspace));
  }
}

TEST_CASE("A queue that is pushed at one end and popped at the other keeps its order and its memory") {
  test::Observer observer;
  Keyspace keyspace(0, observer);
  for (const End in : {End::Head, End::Tail}) {
    const End out = in == End::Head ? End::Tail : End::Head;
    ListValue queue = ListValue::create(keyspace, in == End::Head ? "left" : "right");
    char scratch[kNumberChars];
    int pushed = 0, popped = 0;
    for (int wave = 0; wave < 5; ++wave) {
      while (pushed - popped < 5000) queue.push(in, "task " + std::to_string(pushed++));
      while (pushed - popped > 40 * wave) {
        REQUIRE(queue.peek(out, scratch) == "task " + std::to_string(popped++));
        queue.drop(out);
      }
      CHECK(keyspace.memory() == test::memory_by_counting(keyspace));
      CHECK(queue.entry->encoding() == Encoding::Packed);
    }
  }
}

TEST_CASE("A long list takes little more than its elements, and goes back into its entry when it is short") {
  test::Observer observer;
  Keyspace keyspace(0, observer);
  constexpr size_t kElements = 200000;
  ListValue list = ListValue::create(keyspace, "l");
  for (size_t i = 0; i < kElements; ++i) list.push(i % 2 ? End::Head : End::Tail, "ten bytes!");
  CHECK(list.entry->encoding() == Encoding::Table);
  CHECK(keyspace.memory() < kElements * 25 / 2);
  list.trim(kElements / 2, 10);
  CHECK(list.entry->encoding() == Encoding::Packed);
  CHECK(list.size() == 10);
  CHECK(keyspace.memory() < 1000);

  // Large elements leave no room unused in the nodes between the ends.
  ListValue large = ListValue::create(keyspace, "large");
  for (int i = 0; i < 200; ++i) large.push(End::Tail, std::string(5000, 'x'));
  CHECK(memory_of(*large.entry) < 200 * 5008 + 5 * 8192);
}

TEST_CASE("Elements move between lists") {
  test::Observer observer;
  Keyspace keyspace(0, observer);
  ListValue from = ListValue::create(keyspace, "from"), to = ListValue::create(keyspace, "to");
  for (int i = 0; i < 3000; ++i) from.push(End::Tail, std::to_string(i) + " of many");
  while (!from.empty()) from.move(End::Head, to, End::Head);
  CHECK(to.size() == 3000);
  char scratch[kNumberChars];
  CHECK(to.at(0, scratch) == "2999 of many");
  CHECK(to.at(2999, scratch) == "0 of many");

  // Two handles of one entry: the second follows where the entry went.
  ListValue again(keyspace, to.entry);
  to.move(End::Head, again, End::Tail);
  CHECK(again.entry == to.entry);
  CHECK(again.at(2999, scratch) == "2999 of many");
  CHECK(keyspace.memory() == test::memory_by_counting(keyspace));
}

TEST_CASE("A clone of a long list is independent of it") {
  const uint64_t seed = test::history_seed();
  CAPTURE(seed);
  Random random(seed);
  test::Observer observer;
  Keyspace keyspace(0, observer);
  ListValue list = ListValue::create(keyspace, "l");
  Model model;
  while (model.size() < 2000) step(list, model, random, 500, 9);
  keyspace.insert(Keyspace::clone(*list.entry, "copy"));
  ListValue copy(keyspace, keyspace.find_raw("copy"));
  Model copied = model;
  for (int i = 0; i < 1000; ++i) step(list, model, random, 500, 5);
  for (int i = 0; i < 1000; ++i) step(copy, copied, random, 500, 5);
  check(list, model, random);
  check(copy, copied, random);
  CHECK(keyspace.memory() == test::memory_by_counting(keyspace));
}
