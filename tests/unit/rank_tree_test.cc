#include <catch2/catch.hpp>


#include <algorithm>
#include <iterator>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/slab.h"
#include "random_history.h"
#include "storage/rank_tree.h"

namespace quartet::storage {

namespace {

using Model = std::set<std::pair<double, std::string>>;

/// Checks the order in both directions and every rank.
void check_against(const RankTree& tree, const Model& model) {
  REQUIRE(tree.size() == model.size());
  if (model.empty()) return;
  std::vector<const RankedItem*> items;
  RankTree::visit(tree.at(0), tree.size(), false, [&](const RankedItem& item) {
    items.push_back(&item);
    return true;
  });
  REQUIRE(items.size() == model.size());
  size_t rank = 0;
  for (const auto& [score, member] : model) {
    const RankedItem* item = items[rank];
    REQUIRE(item->score() == score);
    REQUIRE(item->member() == member);
    REQUIRE(tree.rank(item) == rank);
    REQUIRE(tree.at(rank).item() == item);
    ++rank;
  }
  RankTree::visit(tree.at(tree.size() - 1), tree.size(), true, [&](const RankedItem& item) {
    REQUIRE(items[--rank] == &item);
    return true;
  });
  CHECK(rank == 0);
}

/// Checks gaps before members that are there and between them.
void check_gaps(const RankTree& tree, const Model& model, double score, const std::string& member) {
  const auto at = model.lower_bound({score, member});
  const RankTree::Gap gap = tree.partition_point(
      [&](std::string_view m, double s) { return scored_less(s, m, score, member); });
  REQUIRE(gap.rank() == static_cast<size_t>(std::distance(model.begin(), at)));
  if (at != model.begin()) CHECK(gap.before().item()->member() == std::prev(at)->second);
  if (at != model.end()) CHECK(gap.behind().item()->member() == at->second);
}

std::string random_member(Random& random, size_t longest) {
  std::string member(random.below(longest + 1), '\0');
  for (char& c : member) c = static_cast<char>(random.below(random.below(2) ? 4 : 256));
  return member;
}

/// Grows to about `wanted` members and shrinks to none, several times, with every operation on the way.
void random_history(uint64_t seed, size_t wanted, uint64_t scores) {
  CAPTURE(seed, wanted, scores);
  Random random(seed);
  RankTree tree;
  Model model;
  std::vector<RankedItem*> items;
  const size_t empty_bytes = tree.memory();
  for (int round = 0; round < 4; ++round) {
    const bool growing = round % 2 == 0;
    size_t step = 0;
    while (growing ? model.size() < wanted : !model.empty()) {
      const double score = static_cast<double>(random.below(scores)) - static_cast<double>(scores / 2);
      if (items.empty() || random.below(4) < (growing ? 3u : 1u)) {
        const std::string member = random_member(random, 30);
        if (model.emplace(score, member).second) items.push_back(tree.insert(score, member));
      } else {
        const size_t chosen = random.below(items.size());
        RankedItem* item = items[chosen];
        const std::string member(item->member());
        if (random.below(3) > 0) {
          model.erase({item->score(), member});
          tree.erase(item);
          items[chosen] = items.back();
          items.pop_back();
        } else if (!model.contains({score, member})) {
          model.erase({item->score(), member});
          model.emplace(score, member);
          tree.set_score(item, score);
          REQUIRE(item->score() == score);
        }
      }
      if (step++ % 16 == 0) check_gaps(tree, model, score, random_member(random, 3));
      if (step % 997 == 0) check_against(tree, model);
      if (!growing && step % 499 == 0) {
        const size_t from = random.below(model.size() + 1), count = random.below(model.size() - from + 1) / 2;
        std::set<RankedItem*> gone;
        tree.erase_ranks(from, count, [&](RankedItem& item) { gone.insert(&item); });
        REQUIRE(gone.size() == count);
        std::erase_if(items, [&](RankedItem* item) { return gone.contains(item); });
        const auto first = std::next(model.begin(), static_cast<long>(from));
        model.erase(first, std::next(first, static_cast<long>(count)));
        check_against(tree, model);
      }
    }
    check_against(tree, model);
  }
  CHECK(tree.memory() == empty_bytes);
}

size_t bytes_of_items(const RankTree& tree) {
  size_t bytes = 0;
  RankTree::visit(tree.at(0), tree.size(), false, [&](const RankedItem& item) {
    bytes += SlabHeap::rounded(sizeof(RankedItem) + item.member().size());
    return true;
  });
  return bytes;
}

}  // namespace

TEST_CASE("a rank tree does what a set of pairs does", "[rank_tree]") {
  const uint64_t seed = test::history_seed();
  random_history(seed, 3, 20);
  random_history(seed, 100, 20);
  random_history(seed, 6000, 1);
  random_history(seed, 6000, 1'000'000);
}

TEST_CASE("a rank tree is filled in order and emptied from either end", "[rank_tree]") {
  constexpr size_t kCount = 20'000;  // three levels
  for (const bool ascending : {true, false})
    for (const bool from_front : {true, false}) {
      RankTree tree;
      Model model;
      for (size_t i = 0; i < kCount; ++i) {
        const size_t n = ascending ? i : kCount - 1 - i;
        const std::string member = "member:" + std::to_string(100000 + n);
        tree.insert(static_cast<double>(n / 3), member);
        model.emplace(static_cast<double>(n / 3), member);
      }
      check_against(tree, model);
      // Members in order leave no room unused: at most 20 bytes each for the nodes.
      CHECK(tree.memory() - bytes_of_items(tree) < 20 * kCount);
      for (size_t left = kCount; left > 0; left -= 40) {
        const size_t from = from_front ? 0 : left - 40;
        tree.erase_ranks(from, 40, [](RankedItem&) {});
        const auto first = std::next(model.begin(), static_cast<long>(from));
        model.erase(first, std::next(first, 40));
        if (left % 4000 == 0) check_against(tree, model);
      }
      CHECK(tree.size() == 0);
    }
}

TEST_CASE("a rank tree gives its nodes back when it thins out", "[rank_tree]") {
  const uint64_t seed = test::history_seed();
  CAPTURE(seed);
  Random random(seed);
  constexpr size_t kCount = 30'000;
  RankTree tree;
  std::vector<RankedItem*> items;
  for (size_t i = 0; i < kCount; ++i)
    items.push_back(tree.insert(static_cast<double>(random.below(kCount)), std::to_string(i)));
  for (size_t i = kCount - 1; i > 0; --i) std::swap(items[i], items[random.below(i + 1)]);
  for (size_t i = kCount / 20; i < kCount; ++i) tree.erase(items[i]);
  CHECK(tree.size() == kCount / 20);
  INFO("bytes of nodes " << tree.memory() - bytes_of_items(tree) << " for " << tree.size());
  // No leaf stays less than a quarter full but beside one that is nearly full: 1032 bytes for 15 members, and as few
  // leaves below an inner node of 1784. Usually it is about 45; nodes that are never merged would take ten times that.
  CHECK(tree.memory() - bytes_of_items(tree) < 80 * tree.size());
}

TEST_CASE("a rank tree grows by a level and sinks again", "[rank_tree]") {
  const uint64_t seed = test::history_seed();
  CAPTURE(seed);
  Random random(seed);
  constexpr size_t kCount = 260'000;  // more than 62 * 63 * 63
  RankTree tree;
  const size_t empty_bytes = tree.memory();
  std::vector<int> model;
  // Many members of one score, so that searches have to read the members that inner nodes name.
  for (size_t i = 0; i < kCount; ++i) {
    tree.insert(static_cast<double>(i / 4096), std::to_string(1'000'000 + i));
    model.push_back(static_cast<int>(1'000'000 + i));
  }
  while (!model.empty()) {
    REQUIRE(tree.size() == model.size());
    for (int tries = 0; tries < 50; ++tries) {
      const size_t rank = random.below(model.size());
      const RankedItem* item = tree.at(rank).item();
      REQUIRE(item->member() == std::to_string(model[rank]));
      REQUIRE(tree.rank(item) == rank);
    }
    const size_t from = random.below(model.size());
    const size_t count = 1 + random.below(model.size() - from) / (random.below(2) ? 4 : 40);
    tree.erase_ranks(from, count, [](RankedItem&) {});
    model.erase(model.begin() + static_cast<long>(from), model.begin() + static_cast<long>(from + count));
  }
  CHECK(tree.memory() == empty_bytes);
}

TEST_CASE("a score that stays between its neighbours leaves the rank as it is", "[rank_tree]") {
  RankTree tree;
  Model model;
  std::vector<RankedItem*> items;
  for (int i = 0; i < 1000; ++i) items.push_back(tree.insert(i * 10, "m" + std::to_string(i)));
  for (const int shift : {3, -3}) {
    model.clear();
    for (int i = 0; i < 1000; ++i) {
      tree.set_score(items[static_cast<size_t>(i)], i * 10 + shift);
      REQUIRE(tree.rank(items[static_cast<size_t>(i)]) == static_cast<size_t>(i));
      model.emplace(i * 10 + shift, "m" + std::to_string(i));
    }
    check_against(tree, model);
    for (int i = 0; i < 1000; ++i) check_gaps(tree, model, i * 10 + shift + 1, "");
  }
}

}  // namespace quartet::storage
