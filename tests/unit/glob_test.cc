#include "base/glob.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "base/random.h"

using namespace quartet;

namespace {

std::string text_of(Random& random, std::string_view alphabet, size_t most) {
  std::string text;
  for (size_t left = random.below(most + 1); left > 0; --left) text += alphabet[random.below(alphabet.size())];
  return text;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

/// Whether one character of a pattern that is no star matches `c`; `pattern` loses it.
bool one(std::string_view& pattern, char c, bool fold) {
  const auto take = [&] {
    const char first = pattern.front();
    pattern.remove_prefix(1);
    return first;
  };
  const auto same = [&](char a) { return fold ? lower(a) == lower(c) : a == c; };
  const char first = take();
  if (first == '?') return true;
  if (first == '\\') return same(pattern.empty() ? first : take());
  if (first != '[') return same(first);
  const bool negated = pattern.starts_with('^');
  if (negated) take();
  bool found = false;
  while (!pattern.empty() && pattern.front() != ']') {
    if (pattern.front() == '\\' && pattern.size() > 1) {
      take();
      found |= same(take());
    } else if (pattern.size() > 2 && pattern[1] == '-') {
      auto low = static_cast<unsigned char>(fold ? lower(pattern[0]) : pattern[0]);
      auto high = static_cast<unsigned char>(fold ? lower(pattern[2]) : pattern[2]);
      const auto value = static_cast<unsigned char>(fold ? lower(c) : c);
      found |= value >= std::min(low, high) && value <= std::max(low, high);
      pattern.remove_prefix(3);
    } else {
      found |= same(take());
    }
  }
  if (!pattern.empty()) take();
  return found != negated;
}

/// What a pattern means: a star matches nothing, or one byte more.
bool meaning(std::string_view pattern, std::string_view text, bool fold) {
  if (pattern.empty()) return text.empty();
  if (pattern.front() == '*')
    return meaning(pattern.substr(1), text, fold) || (!text.empty() && meaning(pattern, text.substr(1), fold));
  return !text.empty() && one(pattern, text.front(), fold) && meaning(pattern, text.substr(1), fold);
}

/// Counts how often somebody would have had the opportunity to go on.
struct Opportunities final : Pauses {
  size_t look() override { return ++count, 1; }
  size_t count = 0;
};

}  // namespace

TEST_CASE("a pattern matches what it means", "[glob]") {
  const uint64_t seed = entropy();
  INFO("seed " << seed);
  Random random(seed);
  size_t matched = 0;
  for (int turn = 0; turn < 300'000; ++turn) {
    const bool fold = random.below(2);
    const std::string pattern = text_of(random, fold ? "aB*?[]^-\\" : "ab**?[]-", 9), text = text_of(random, fold ? "abAB" : "ab", 9);
    INFO(pattern << " " << text << " " << fold);
    const bool expected = meaning(pattern, text, fold);
    REQUIRE(glob_match(pattern, text, fold) == expected);
    matched += expected;
  }
  CHECK(matched > 10'000);
}

TEST_CASE("so does one with long segments", "[glob]") {
  const uint64_t seed = entropy();
  INFO("seed " << seed);
  Random random(seed);
  size_t matched = 0;
  for (int turn = 0; turn < 3'000; ++turn) {
    // Much of the same, so that a place is given up late and the search goes over to bits.
    const size_t length = 1 + random.below(200);
    std::string segment;
    for (size_t i = 0; i < length; ++i) segment += random.below(50) ? "a" : random.below(2) ? "?" : "[ab]";
    segment += random.below(2) ? "b" : "[bc]";
    std::string text(random.below(2000), 'a');
    for (size_t i = random.below(10); i > 0 && !text.empty(); --i) text[random.below(text.size())] = 'b';
    bool expected = false;
    for (size_t at = 0; at < text.size() && !expected; ++at) {
      std::string_view left = segment;
      expected = true;
      for (size_t i = at; !left.empty() && expected; ++i) expected = i < text.size() && one(left, text[i], false);
    }
    INFO(segment << " " << text);
    REQUIRE(glob_match("*" + segment + "*", text) == expected);
    matched += expected;
  }
  CHECK(matched > 100);
}

TEST_CASE("the time of a match does not grow with the product of the lengths", "[glob]") {
  const std::string text(100'000, 'a');
  std::string classes, ones;
  for (int i = 0; i < 500; ++i) classes += "[ab]", ones += "a";
  const std::vector<std::string> patterns = {"*" + classes + "c*", "*" + ones + "?" + ones + "b*", "*" + ones + "b*", "*" + ones + "b",
                                             "*a*a*a*a*a*b*"};
  for (const std::string& pattern : patterns) {
    Opportunities steps;
    CHECK_FALSE(glob_match(pattern, text, false, &steps));
    // Of some 2,000 steps each. By trying each place it would be more than ten thousand.
    CHECK(steps.count < 3'000);
  }
  Opportunities steps;
  CHECK_FALSE(glob_match("*" + classes + "c*", text, true, &steps));
  CHECK(steps.count > 100);
}

TEST_CASE("whether a pattern may match what begins so", "[glob]") {
  CHECK(glob_match_beginning("ab*", "abc"));
  CHECK(glob_match_beginning("abc", "ab"));
  CHECK(glob_match_beginning("*x", "ab"));
  CHECK(glob_match_beginning("a[b-c]?", "ac"));
  CHECK(glob_match_beginning("\\a\\*", "a*"));
  CHECK(glob_match_beginning("", ""));
  CHECK_FALSE(glob_match_beginning("a", "ab"));
  CHECK_FALSE(glob_match_beginning("b*", "ab"));
  CHECK_FALSE(glob_match_beginning("a[^b]*", "ab"));
}

TEST_CASE("no pattern matches what it may not begin with", "[glob]") {
  const uint64_t seed = entropy();
  INFO("seed " << seed);
  Random random(seed);
  size_t matched = 0;
  for (int turn = 0; turn < 200'000; ++turn) {
    const std::string pattern = text_of(random, "ab*?[]^-\\", 6), beginning = text_of(random, "ab", 3);
    if (!glob_match(pattern, beginning + text_of(random, "ab", 3))) continue;
    ++matched;
    INFO(pattern << " " << beginning);
    REQUIRE(glob_match_beginning(pattern, beginning));
  }
  CHECK(matched > 1000);
}
