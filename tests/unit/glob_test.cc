#include <catch2/catch.hpp>

#include "base/numbers.h"
#include "base/random.h"

using namespace quartet;

namespace {

std::string text_of(Random& random, std::string_view alphabet, size_t most) {
  std::string text;
  for (size_t left = random.below(most + 1); left > 0; --left) text += alphabet[random.below(alphabet.size())];
  return text;
}

}  // namespace

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
