#include <catch2/catch.hpp>

#include <malloc.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "storage/skiplist.h"

namespace quartet::storage {

namespace {

using Model = std::set<std::pair<double, std::string>>;

/// Checks the order in both directions, every rank, and the bytes counted.
void check_against(const Skiplist& list, const Model& model) {
  REQUIRE(list.size() == model.size());
  size_t rank = 0;
  const SkiplistNode* node = list.front();
  const SkiplistNode* back = nullptr;
  for (const auto& [score, member] : model) {
    REQUIRE(node != nullptr);
    CHECK(node->score() == score);
    CHECK(node->member() == member);
    CHECK(node->back() == back);
    CHECK(list.rank(node) == rank);
    CHECK(list.at(rank) == node);
    back = node;
    node = node->next();
    ++rank;
  }
  CHECK(node == nullptr);
  CHECK(list.back() == back);
}

std::string random_member(Random& random, size_t longest) {
  std::string member(random.below(longest + 1), '\0');
  for (char& c : member) c = static_cast<char>(random.below(random.below(2) ? 4 : 256));
  return member;
}

}  // namespace

TEST_CASE("a skiplist does what a set of pairs does", "[skiplist]") {
  const uint64_t seed = entropy();
  CAPTURE(seed);
  Random random(seed);
  for (const size_t wanted : {3u, 40u, 700u}) {
    Skiplist list;
    Model model;
    std::vector<SkiplistNode*> nodes;
    const size_t empty_bytes = list.memory();
    for (int step = 0; step < 2000; ++step) {
      const double score = static_cast<double>(random.below(20)) - 10;
      const bool grow = model.size() < wanted ? random.below(4) != 0 : random.below(4) == 0;
      if (grow) {
        const std::string member = random_member(random, 40);
        if (!model.emplace(score, member).second) continue;
        nodes.push_back(list.insert(score, member));
      } else if (!nodes.empty()) {
        const size_t chosen = random.below(nodes.size());
        SkiplistNode* node = nodes[chosen];
        const std::string member(node->member());
        if (random.below(2)) {
          model.erase({node->score(), member});
          list.erase(node);
          nodes[chosen] = nodes.back();
          nodes.pop_back();
        } else if (!model.contains({score, member})) {
          model.erase({node->score(), member});
          model.emplace(score, member);
          list.set_score(node, score);
          REQUIRE(node->score() == score);
        }
      }
      if (step % 200 == 0) check_against(list, model);
      if (step % 500 == 499) {
        const size_t from = random.below(model.size() + 1), count = random.below(model.size() - from + 1) / 2;
        list.erase_ranks(from, count, [&](SkiplistNode& node) { std::erase(nodes, &node); });
        const auto first = std::next(model.begin(), static_cast<long>(from));
        model.erase(first, std::next(first, static_cast<long>(count)));
        check_against(list, model);
      }
    }
    check_against(list, model);
    size_t bytes = empty_bytes;
    for (SkiplistNode* node : nodes) bytes += malloc_usable_size(node);
    CHECK(list.memory() == bytes);
    list.erase_ranks(0, list.size(), [](SkiplistNode&) {});
    check_against(list, {});
    CHECK(list.memory() == empty_bytes);
  }
}

TEST_CASE("a skiplist's partition point counts what stands before it", "[skiplist]") {
  const uint64_t seed = entropy();
  CAPTURE(seed);
  Random random(seed);
  Skiplist list;
  Model model;
  while (model.size() < 500) {
    const double score = static_cast<double>(random.below(50));
    const std::string member = random_member(random, 6);
    if (model.emplace(score, member).second) list.insert(score, member);
  }
  for (int tries = 0; tries < 200; ++tries) {
    const double score = static_cast<double>(random.below(52)) - 1;
    const std::string member = random_member(random, 6);
    const auto at = model.lower_bound({score, member});
    const auto rank = static_cast<size_t>(std::distance(model.begin(), at));
    const Skiplist::Position found = list.partition_point(
        [&](const SkiplistNode& node) { return scored_less(node.score(), node.member(), score, member); });
    REQUIRE(found.rank == rank);
    if (rank == 0) {
      CHECK(found.node == nullptr);
    } else {
      REQUIRE(found.node != nullptr);
      CHECK(found.node->member() == std::prev(at)->second);
    }
  }
}

TEST_CASE("appending builds the list that inserting builds", "[skiplist]") {
  Model model;
  Skiplist list;
  Skiplist::Path end;
  list.seek_end(end);
  for (int i = 0; i < 3000; ++i) {
    const double score = i / 3;
    const std::string member = "member:" + std::to_string(100000 + i);
    model.emplace(score, member);
    list.append(score, member, end);
  }
  check_against(list, model);
  list.insert(500, "x");
  model.emplace(500, "x");
  list.seek_end(end);
  list.append(1e9, "last", end);
  model.emplace(1e9, "last");
  check_against(list, model);
}

TEST_CASE("a node of a 16-byte member takes at most 56 bytes on average", "[skiplist]") {
  // What is asked of the allocator; what it rounds up to is its own affair.
  Skiplist list;
  const size_t count = 20000;
  size_t asked = 0;
  for (size_t i = 0; i < count; ++i) {
    std::string member = std::to_string(1000000000000000 + i);
    REQUIRE(member.size() == 16);
    const SkiplistNode* node = list.insert(static_cast<double>(i), member);
    asked += static_cast<size_t>(node->member().data() + 16 - reinterpret_cast<const char*>(node));
  }
  CHECK(asked <= 56 * count);
}

}  // namespace quartet::storage
