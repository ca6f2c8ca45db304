#include "base/memory_reserve.h"

#include <sys/mman.h>

#include <atomic>
#include <new>

namespace quartet::memory_reserve {

namespace {

std::atomic<void*> reserve{nullptr};

bool give_up() noexcept {
  void* const mapping = reserve.exchange(nullptr);
  return mapping && ::munmap(mapping, kBytes) == 0;
}

/// operator new tries again after this has returned.
void make_room() {
  if (!give_up()) throw std::bad_alloc();
}

}  // namespace

void take() {
  if (reserve.load()) return;
  void* const mapping = ::mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return;
  reserve.store(mapping);
  std::set_new_handler(make_room);
}

void release() noexcept { give_up(); }

}  // namespace quartet::memory_reserve
