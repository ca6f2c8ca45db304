#include "storage/packed.h"

#include <catch2/catch.hpp>
#include <vector>

#include "base/numbers.h"
#include "random_history.h"

using namespace quartet;
using namespace quartet::storage;

namespace {

/// Builds a block in memory of exactly its size, so that a sanitizer sees every byte read or written beyond it.
std::vector<char> build(const std::vector<std::string>& values) {
  size_t bytes = packed::kHeaderBytes;
  for (const std::string& value : values) bytes += packed::element_size(value);
  std::vector<char> block(bytes);
  packed::set_count(block.data(), values.size());
  char* out = block.data() + packed::kHeaderBytes;
  for (const std::string& value : values) out = packed::write_element(out, value);
  REQUIRE(out == block.data() + block.size());
  return block;
}

std::string_view view(const std::vector<char>& block) { return {block.data(), block.size()}; }

std::vector<std::string> read_forward(std::string_view block) {
  std::vector<std::string> values;
  char scratch[kNumberChars];
  for (size_t offset = packed::kHeaderBytes; offset < block.size();) {
    const size_t behind = packed::skip(block, offset);
    const packed::Element element = packed::read_element(block, offset, offset);
    REQUIRE(behind == offset);
    REQUIRE(element.text(scratch).size() == element.text_size());
    values.emplace_back(element.text(scratch));
  }
  return values;
}

std::vector<std::string> read_backward(std::string_view block) {
  std::vector<std::string> values;
  char scratch[kNumberChars];
  for (size_t offset = block.size(); offset > packed::kHeaderBytes;) {
    offset = packed::previous(block, offset);
    size_t next;
    values.insert(values.begin(), std::string(packed::read_element(block, offset, next).text(scratch)));
  }
  return values;
}

}  // namespace

TEST_CASE("A packed element is written as the listpack format says") {
  const auto bytes_of = [](std::string_view value) {
    std::string out(packed::element_size(value), '\0');
    packed::write_element(out.data(), value);
    return out;
  };
  using namespace std::string_literals;
  CHECK(bytes_of("0") == "\x00\x01"s);
  CHECK(bytes_of("127") == "\x7f\x01"s);
  CHECK(bytes_of("128") == "\xc0\x80\x02"s);
  CHECK(bytes_of("-1") == "\xdf\xff\x02"s);
  CHECK(bytes_of("4095") == "\xcf\xff\x02"s);
  CHECK(bytes_of("4096") == "\xf1\x00\x10\x03"s);
  CHECK(bytes_of("-32768") == "\xf1\x00\x80\x03"s);
  CHECK(bytes_of("32768") == "\xf2\x00\x80\x00\x04"s);
  CHECK(bytes_of("-8388608") == "\xf2\x00\x00\x80\x04"s);
  CHECK(bytes_of("8388608") == "\xf3\x00\x00\x80\x00\x05"s);
  CHECK(bytes_of("2147483648") == "\xf4\x00\x00\x00\x80\x00\x00\x00\x00\x09"s);
  CHECK(bytes_of("") == "\x80\x01"s);
  CHECK(bytes_of("hello") == "\x85hello\x06"s);
  CHECK(bytes_of("007") == "\x83" "007\x04"s);
  const std::string medium(500 - 2, 'x');
  // 500 is 0000011 1110100 in groups of seven bits; the group that is read first, the last, has the top bit set.
  CHECK(bytes_of(medium) == "\xe1\xf2" + medium + "\x03\xf4");
  const std::string large(5000, 'x');
  CHECK(bytes_of(large) == "\xf0\x88\x13\x00\x00"s + large + "\x27\x8d"s);
}

TEST_CASE("Packed integers and strings of every boundary come back, from both directions") {
  std::vector<std::string> values;
  for (int bit = 0; bit < 64; ++bit)
    for (const int64_t near : {-1, 0, 1})
      for (const int64_t sign : {1, -1}) {
        const auto value = static_cast<int64_t>((uint64_t{1} << bit) + static_cast<uint64_t>(near));
        values.push_back(std::to_string(sign == 1 ? value : static_cast<int64_t>(-static_cast<uint64_t>(value))));
      }
  for (const size_t length : {0, 1, 63, 64, 125, 126, 127, 128, 4095, 4096, 16376, 16377, 16378, 16379, 16380, 70000, 2097200})
    values.emplace_back(length, 'x');
  for (const char* odd : {"-0", "+1", "01", " 1", "1 ", "9223372036854775808", "-9223372036854775809"}) values.emplace_back(odd);
  const std::vector<char> block = build(values);
  CHECK(packed::count(view(block)) == values.size());
  CHECK(read_forward(view(block)) == values);
  CHECK(read_backward(view(block)) == values);
}

TEST_CASE("A packed block finds and removes equal elements") {
  const uint64_t seed = test::history_seed();
  CAPTURE(seed);
  Random random(seed);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> values(random.below(60));
    for (std::string& value : values) value = test::random_text(random, 5);
    std::vector<char> block = build(values);
    const std::string wanted =
        !values.empty() && random.below(4) ? values[random.below(values.size())] : test::random_text(random);

    for (const size_t stride : {1, 2}) {
      size_t offset = packed::kHeaderBytes, expected = packed::kNotFound;
      for (size_t i = 0; i < values.size(); ++i) {
        if (i % stride == 0 && values[i] == wanted) {
          expected = offset;
          break;
        }
        offset = packed::skip(view(block), offset);
      }
      if (stride == 2 && values.size() % 2 == 1) continue;  // pairs only
      CHECK(packed::find(view(block), packed::kHeaderBytes, wanted, parse_int(wanted), stride) == expected);
    }

    packed::Removal removal{wanted, parse_int(wanted), random.below(3), random.below(4)};
    size_t skip = removal.skip, most = removal.most, gone = 0, removed = 0;
    std::vector<std::string> expected;
    for (const std::string& value : values) {
      if (value == wanted && most > 0) {
        if (skip == 0) {
          --most;
          ++gone;
          continue;
        }
        --skip;
      }
      expected.push_back(value);
    }
    const size_t bytes = packed::remove_equal(block.data() + packed::kHeaderBytes, block.size() - packed::kHeaderBytes,
                                              removal, removed);
    block.resize(packed::kHeaderBytes + bytes);
    CHECK(removed == gone);
    CHECK(read_forward(view(block)) == expected);
  }
}

TEST_CASE("A block of more elements than its header counts is counted") {
  const std::vector<std::string> values(70000, "1");
  const std::vector<char> block = build(values);
  CHECK(packed::count(view(block)) == 70000);
}
