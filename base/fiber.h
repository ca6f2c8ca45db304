#pragma once

#include <ucontext.h>

#include <cstddef>
#include <functional>

namespace quartet {

/// Memory for the stack of a fiber, with a page below it that cannot be touched, so that an overflow ends the process
/// rather than change other memory.
class FiberStack {
 public:
  /// In bytes. Pages that were never touched take no memory. The compressor of RDB values alone wants a quarter of it.
  static constexpr size_t kBytes = 1024 * 1024;

  /// Throws std::bad_alloc.
  FiberStack();
  FiberStack(FiberStack&& other) noexcept;
  FiberStack& operator=(FiberStack&& other) noexcept;
  ~FiberStack();

  void* bottom() const;

 private:
  void* mapping_;
};

/// A function on a stack of its own, which can stand still in its middle and go on later: a stackful coroutine, by
/// ucontext(3). Everything happens on the thread of whoever calls resume().
class Fiber {
 public:
  /// Nothing runs before the first resume(). `body` must not throw.
  Fiber(FiberStack stack, std::function<void()> body);
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  /// REQUIRES: it has ended, or was never resumed.
  ~Fiber();

  /// Runs the body until it pauses or ends; false where it has ended. It may be called from another fiber. REQUIRES: it
  /// has not ended, and is not running.
  bool resume();
  /// Called by the body: back to who resumed it, until it is resumed again.
  void pause();
  /// Takes the stack for another fiber. REQUIRES: as for the destructor.
  FiberStack take_stack() { return std::move(stack_); }

 private:
  enum class State { New, Running, Paused, Ended };

  static void enter(unsigned high, unsigned low);
  void run();

  FiberStack stack_;
  std::function<void()> body_;
  State state_ = State::New;
  ucontext_t own_, resumer_;
  // Where the sanitizers are to look for the stack of whoever resumed it, and for what they keep of either.
  const void* resumer_bottom_ = nullptr;
  size_t resumer_bytes_ = 0;
  void* resumer_fake_stack_ = nullptr;
  void* own_fake_stack_ = nullptr;
};

}  // namespace quartet
