// The bound of an output buffer: a reply that would exceed it is dropped while it is built.

#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include "base/random.h"
#include "output_fixture.h"
#include "protocol/output_buffer.h"
#include "protocol/reply.h"

namespace {

using namespace std::literals;
using quartet::Random;
using quartet::SharedBytes;
using quartet::protocol::BlockPool;
using quartet::protocol::OutputBuffer;
using quartet::protocol::Reply;
using quartet::test::gathered;

}  // namespace

TEST_CASE("output buffer: what would exceed its bound is dropped", "[protocol]") {
  BlockPool pool;
  OutputBuffer buffer(pool);
  buffer.set_bound(1);
  CHECK(buffer.bound() == 1);
  // The first block is not counted.
  buffer.append(std::string(BlockPool::kBlockBytes, 'a'));
  CHECK_FALSE(buffer.overrun());
  CHECK(buffer.beyond_first() == 0);
  buffer.set_bound(10 * BlockPool::kBlockBytes);
  buffer.append("before");
  const size_t mark = buffer.size();
  const SharedBytes longer = SharedBytes::copy_of(std::string(200'000, 'l'));
  SECTION("bytes") {
    for (int i = 0; i < 100'000; ++i) buffer.append("some text");
  }
  SECTION("a long piece") { buffer.append(std::string(1'000'000, 'p')); }
  SECTION("a reference") {
    buffer.append_shared(longer);
    CHECK(longer.unique());
    buffer.append("and what follows");
  }
  SECTION("another buffer") {
    OutputBuffer other(pool);
    other.append(std::string(200'000, 'o'));
    buffer.take(other);
    CHECK(other.empty());
    CHECK(other.memory() < BlockPool::kBlockBytes);
  }
  SECTION("a small one that has dropped something") {
    OutputBuffer other(pool);
    other.set_bound(0);
    other.append_shared(longer);
    CHECK(other.overrun());
    buffer.take(other);
    CHECK_FALSE(other.overrun());
  }
  SECTION("places, opened before and after") {
    const auto early = buffer.defer();
    buffer.append(std::string(1'000'000, 'p'));
    const auto late = buffer.defer();
    buffer.fill(late, "*1\r\n");
    buffer.fill(early, "*2\r\n");
  }
  CHECK(buffer.overrun());
  CHECK(buffer.memory() <= 13 * BlockPool::kBlockBytes);
  buffer.truncate(mark);
  CHECK_FALSE(buffer.overrun());
  buffer.append("after");
  CHECK(buffer.to_string() == std::string(BlockPool::kBlockBytes, 'a') + "beforeafter");
  CHECK(gathered(buffer) == buffer.to_string());
  buffer.clear();
  CHECK(buffer.bound() == 10 * BlockPool::kBlockBytes);
}

TEST_CASE("output buffer: an overrun ends with what is there", "[protocol]") {
  BlockPool pool;
  OutputBuffer buffer(pool);
  buffer.set_bound(BlockPool::kBlockBytes);
  const std::string text(100'000, 't');
  buffer.append(text);
  REQUIRE(buffer.overrun());
  const size_t kept = buffer.size();
  CHECK(kept > BlockPool::kBlockBytes);
  CHECK(kept < text.size());
  SECTION("truncated to that") {
    buffer.truncate(kept);
    CHECK(buffer.to_string() == text.substr(0, kept));
    buffer.consume(kept - 1);
    CHECK(buffer.to_string() == "t");
  }
  SECTION("cleared") {
    buffer.clear();
    CHECK(buffer.empty());
    CHECK_FALSE(buffer.overrun());
  }
}
