#include "base/crc32c.h"

#include <catch2/catch.hpp>
#include <string>

#include "base/random.h"

using namespace quartet;

TEST_CASE("CRC-32C gives the published values", "[crc32c]") {
  // RFC 3720, appendix B.4, and the check value of the catalogues.
  CHECK(crc32c("123456789") == 0xe3069283u);
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aau);
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43u);
  CHECK(crc32c("") == 0);
}

TEST_CASE("CRC-32C is the same by instruction, by table and in pieces", "[crc32c]") {
  const uint64_t seed = entropy();
  INFO("seed " << seed);
  Random random(seed);
  for (int round = 0; round < 200; ++round) {
    std::string text(random.below(300), '\0');
    for (char& c : text) c = static_cast<char>(random.next());
    const size_t cut = random.below(text.size() + 1);
    const uint32_t whole = crc32c(text);
    REQUIRE(crc32c_by_table(text) == whole);
    REQUIRE(crc32c(std::string_view(text).substr(cut), crc32c(std::string_view(text).substr(0, cut))) == whole);
  }
}
