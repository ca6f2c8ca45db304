#include "base/slab.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "random_history.h"

using namespace quartet;

namespace {

/// A block filled with a byte of its own, so that blocks that overlap are found.
struct Block {
  unsigned char* at;
  size_t bytes;
  unsigned char filling;

  Block(SlabHeap& heap, size_t bytes, unsigned char filling)
      : at(static_cast<unsigned char*>(heap.allocate(bytes))), bytes(bytes), filling(filling) {
    REQUIRE(reinterpret_cast<uintptr_t>(at) % 4 == 0);
    // All of the block is the caller's, what it was rounded up by too.
    std::memset(at, filling, SlabHeap::rounded(bytes));
  }
  bool whole() const {
    return std::all_of(at, at + SlabHeap::rounded(bytes), [&](unsigned char byte) { return byte == filling; });
  }
};

}  // namespace

TEST_CASE("a block is rounded up by little", "[slab]") {
  size_t before = 0;
  for (size_t bytes = 0; bytes <= SlabHeap::kMaxBytes; ++bytes) {
    const size_t rounded = SlabHeap::rounded(bytes);
    REQUIRE(rounded >= std::max<size_t>(bytes, 1));
    REQUIRE(rounded - bytes <= std::max<size_t>(4, bytes / 16));
    REQUIRE(rounded % 4 == 0);
    REQUIRE(rounded >= before);
    before = rounded;
  }
  CHECK(SlabHeap::rounded(17) == 20);
  CHECK(SlabHeap::rounded(129) == 136);
  CHECK(SlabHeap::rounded(SlabHeap::kMaxBytes) == SlabHeap::kMaxBytes);
}

TEST_CASE("blocks of a slab heap do not overlap, and slabs come and go with them", "[slab]") {
  const uint64_t seed = test::history_seed();
  CAPTURE(seed);
  Random random(seed);
  auto heap = std::make_unique<SlabHeap>();
  std::vector<Block> blocks;
  const auto free_one = [&](size_t i) {
    REQUIRE(blocks[i].whole());
    heap->free(blocks[i].at);
    blocks[i] = blocks.back();
    blocks.pop_back();
  };
  for (int wave = 0; wave < 6; ++wave) {
    const size_t most = wave % 2 ? SlabHeap::kMaxBytes : 40;
    for (int i = 0; i < 30'000; ++i) {
      // Waves grow at first and shrink towards their end.
      if (!blocks.empty() && random.below(30'000) < static_cast<uint64_t>(i)) {
        free_one(random.below(blocks.size()));
      } else {
        blocks.emplace_back(*heap, random.below(most + 1), static_cast<unsigned char>(random.below(256)));
      }
    }
  }
  while (!blocks.empty()) free_one(blocks.size() - 1);
  // Some empty ones are kept.
  CHECK(heap->slabs() <= 4);
  for (int i = 0; i < 100'000; ++i) blocks.emplace_back(*heap, 64, static_cast<unsigned char>(i));
  CHECK(heap->slabs() >= 97);
  while (!blocks.empty()) free_one(random.below(blocks.size()));
  CHECK(heap->slabs() <= 4);
  // What is kept is used again, and not more is taken.
  const size_t kept = heap->slabs();
  Block again(*heap, 20, 1);
  CHECK(heap->slabs() == kept);
  heap->free(again.at);
  heap->purge();
  CHECK(heap->slabs() == 0);
}

TEST_CASE("blocks that other threads free come back", "[slab]") {
  const uint64_t seed = test::history_seed();
  CAPTURE(seed);
  Random random(seed);
  auto heap = std::make_unique<SlabHeap>();
  std::mutex mutex;
  std::condition_variable arrived;
  std::deque<Block> to_free;
  bool done = false;
  std::atomic<bool> damaged = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i)
    threads.emplace_back([&] {
      std::unique_lock lock(mutex);
      for (;;) {
        arrived.wait(lock, [&] { return done || !to_free.empty(); });
        if (to_free.empty()) return;
        std::vector<Block> mine;
        for (; !to_free.empty() && mine.size() < 100; to_free.pop_front()) mine.push_back(to_free.front());
        lock.unlock();
        for (const Block& block : mine) {
          if (!block.whole()) damaged = true;
          SlabHeap::free_remotely(block.at);
        }
        lock.lock();
      }
    });
  for (int round = 0; round < 400; ++round) {
    std::vector<Block> made;
    for (int i = 0; i < 300; ++i)
      made.emplace_back(*heap, 8 + 8 * random.below(8), static_cast<unsigned char>(random.below(256)));
    for (size_t i = 0; i < 50; ++i) {
      REQUIRE(made.back().whole());
      heap->free(made.back().at);
      made.pop_back();
    }
    const std::lock_guard lock(mutex);
    to_free.insert(to_free.end(), made.begin(), made.end());
    arrived.notify_all();
  }
  {
    const std::lock_guard lock(mutex);
    done = true;
    arrived.notify_all();
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_FALSE(damaged);
  while (heap->has_remote()) heap->collect(3);
  CHECK(heap->slabs() <= 4);
  heap->purge();
  CHECK(heap->slabs() == 0);
}
