#include "base/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cassert>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#define QUARTET_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define QUARTET_ADDRESS_SANITIZER 1
#endif
#endif
#if defined(QUARTET_ADDRESS_SANITIZER)
#include <sanitizer/common_interface_defs.h>
#endif

namespace quartet {

namespace {

size_t page_bytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }
size_t mapped_bytes() { return FiberStack::kBytes + page_bytes(); }

// AddressSanitizer wants to be told of every change of the stack: before it, where to; behind it, on the new one.
#if defined(QUARTET_ADDRESS_SANITIZER)
void start_switch(void** fake_stack, const void* bottom, size_t bytes) {
  __sanitizer_start_switch_fiber(fake_stack, bottom, bytes);
}
void finish_switch(void* fake_stack, const void** bottom, size_t* bytes) {
  __sanitizer_finish_switch_fiber(fake_stack, bottom, bytes);
}
#else
void start_switch(void**, const void*, size_t) {}
void finish_switch(void*, const void**, size_t*) {}
#endif

}  // namespace

FiberStack::FiberStack()
    : mapping_(::mmap(nullptr, mapped_bytes(), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0)) {
  if (mapping_ == MAP_FAILED || ::mprotect(mapping_, page_bytes(), PROT_NONE) != 0) {
    if (mapping_ != MAP_FAILED) ::munmap(mapping_, mapped_bytes());
    throw std::bad_alloc();
  }
}

FiberStack::FiberStack(FiberStack&& other) noexcept : mapping_(std::exchange(other.mapping_, nullptr)) {}

FiberStack& FiberStack::operator=(FiberStack&& other) noexcept {
  std::swap(mapping_, other.mapping_);
  return *this;
}

FiberStack::~FiberStack() {
  if (mapping_) ::munmap(mapping_, mapped_bytes());
}

void* FiberStack::bottom() const { return static_cast<char*>(mapping_) + page_bytes(); }

Fiber::Fiber(FiberStack stack, std::function<void()> body) : stack_(std::move(stack)), body_(std::move(body)) {
  [[maybe_unused]] const int status = ::getcontext(&own_);
  assert(status == 0);
  own_.uc_stack.ss_sp = stack_.bottom();
  own_.uc_stack.ss_size = FiberStack::kBytes;
  own_.uc_link = nullptr;
  // makecontext(3) passes nothing but integers.
  const auto self = reinterpret_cast<uintptr_t>(this);
  ::makecontext(&own_, reinterpret_cast<void (*)()>(&Fiber::enter), 2, static_cast<unsigned>(self >> 32),
                static_cast<unsigned>(self));
}

Fiber::~Fiber() { assert(state_ == State::New || state_ == State::Ended); }

void Fiber::enter(unsigned high, unsigned low) {
  reinterpret_cast<Fiber*>(uintptr_t{high} << 32 | low)->run();
}

void Fiber::run() {
  finish_switch(nullptr, &resumer_bottom_, &resumer_bytes_);
  body_();
  state_ = State::Ended;
  // What the sanitizers keep of this stack can go, for nothing comes back to it.
  start_switch(nullptr, resumer_bottom_, resumer_bytes_);
  ::setcontext(&resumer_);
  std::abort();
}

bool Fiber::resume() {
  assert(state_ == State::New || state_ == State::Paused);
  state_ = State::Running;
  start_switch(&resumer_fake_stack_, stack_.bottom(), FiberStack::kBytes);
  ::swapcontext(&resumer_, &own_);
  finish_switch(resumer_fake_stack_, nullptr, nullptr);
  return state_ != State::Ended;
}

void Fiber::pause() {
  assert(state_ == State::Running);
  state_ = State::Paused;
  start_switch(&own_fake_stack_, resumer_bottom_, resumer_bytes_);
  ::swapcontext(&own_, &resumer_);
  finish_switch(own_fake_stack_, &resumer_bottom_, &resumer_bytes_);
}

}  // namespace quartet
