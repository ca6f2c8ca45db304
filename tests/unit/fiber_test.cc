#include "base/fiber.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

using quartet::Fiber;
using quartet::FiberStack;

namespace {

/// Uses so much of the stack that it would overflow if all fibers shared one of the least size.
size_t deep(int depth, Fiber& fiber) {
  volatile char room[4096];
  room[0] = static_cast<char>(depth);
  if (depth == 0) fiber.pause();
  return depth == 0 ? 0 : deep(depth - 1, fiber) + static_cast<size_t>(room[0] == static_cast<char>(depth));
}

}  // namespace

TEST_CASE("a fiber stands still and goes on where it was", "[fiber]") {
  std::string log;
  std::unique_ptr<Fiber> fiber;
  fiber = std::make_unique<Fiber>(FiberStack(), [&] {
    std::string local = "a";
    for (int i = 0; i < 3; ++i) {
      log += local;
      fiber->pause();
      local += static_cast<char>('b' + i);
    }
    log += local;
  });
  CHECK(log.empty());
  int resumes = 0;
  while (fiber->resume()) log += '|', ++resumes;
  CHECK(log == "a|ab|abc|abcd");
  CHECK(resumes == 3);
}

TEST_CASE("fibers resume one another, and their stacks are used again", "[fiber]") {
  std::string log;
  std::unique_ptr<Fiber> inner, outer;
  inner = std::make_unique<Fiber>(FiberStack(), [&] {
    log += '1';
    inner->pause();
    log += '2';
  });
  outer = std::make_unique<Fiber>(FiberStack(), [&] {
    log += 'a';
    CHECK(inner->resume());
    log += 'b';
    outer->pause();
    log += 'c';
  });
  CHECK(outer->resume());
  // The inner one is resumed by somebody else than before.
  CHECK_FALSE(inner->resume());
  CHECK_FALSE(outer->resume());
  CHECK(log == "a1b2c");
  bool ran = false;
  Fiber next(inner->take_stack(), [&] { ran = true; });
  CHECK_FALSE(next.resume());
  CHECK(ran);
}

TEST_CASE("an exception unwinds the stack of a fiber, and is caught on it", "[fiber]") {
  struct Stop {};
  auto counted = std::make_shared<int>();
  std::unique_ptr<Fiber> fiber;
  bool stop = false;
  fiber = std::make_unique<Fiber>(FiberStack(), [&] {
    try {
      const std::vector<std::shared_ptr<int>> held(10, counted);
      while (true) {
        fiber->pause();
        if (stop) throw Stop();
      }
    } catch (const Stop&) {
    }
  });
  CHECK(fiber->resume());
  CHECK(fiber->resume());
  CHECK(counted.use_count() == 11);
  stop = true;
  // Exceptions outside of it are none of its business.
  try {
    throw 1;
  } catch (int) {
    CHECK_FALSE(fiber->resume());
  }
  CHECK(counted.use_count() == 1);
}

TEST_CASE("many fibers stand still deep in their stacks", "[fiber]") {
  constexpr int kDepth = 100;
  std::vector<std::unique_ptr<Fiber>> fibers(20);
  size_t total = 0;
  for (auto& fiber : fibers)
    fiber = std::make_unique<Fiber>(FiberStack(), [&total, &fiber] { total += deep(kDepth, *fiber); });
  for (const auto& fiber : fibers) CHECK(fiber->resume());
  for (const auto& fiber : fibers) CHECK_FALSE(fiber->resume());
  CHECK(total == fibers.size() * kDepth);
}
