#include "base/slab.h"

#include <malloc.h>

#include <cassert>
#include <cstdlib>
#include <new>
#include <utility>

namespace quartet {

void* SlabHeap::allocate_slowly(size_t size_class) {
  collect(1);
  // The first slab is full; the one behind it has room, or there is none. What was collected may have been its own.
  while (Slab* slab = partial_[size_class]) {
    if (!slab->full()) break;
    unlist(slab);
  }
  if (!partial_[size_class]) list(new_slab(size_class));
  return allocate(class_bytes(size_class));
}

SlabHeap::Slab* SlabHeap::new_slab(size_t size_class) {
  void* memory = kept_;
  if (memory) {
    kept_ = kept_->next;
    --kept_count_;
  } else {
    memory = std::aligned_alloc(kSlabBytes, kSlabBytes);
    if (!memory) throw std::bad_alloc();
    ++slabs_;
  }
  auto* slab = new (memory) Slab{};
  const size_t bytes = class_bytes(size_class);
  slab->heap = this;
  slab->size_class = static_cast<uint8_t>(size_class);
  slab->block_units = static_cast<uint16_t>(bytes / kUnit);
  slab->untouched = sizeof(Slab) / kUnit;
  slab->end = static_cast<uint16_t>(slab->untouched + (kSlabBytes - sizeof(Slab)) / bytes * slab->block_units);
  return slab;
}

void SlabHeap::settle(Slab* slab) {
  if (slab->live > 0) {
    if (!slab->listed) list(slab);
    return;
  }
  if (slab->listed) unlist(slab);
  if (kept_count_ == kKeptSlabs) {
    --slabs_;
    return std::free(slab);
  }
  slab->next = kept_;
  kept_ = slab;
  ++kept_count_;
}

void SlabHeap::purge() {
  while (has_remote()) collect(1);
  while (kept_) {
    Slab* slab = kept_;
    kept_ = slab->next;
    std::free(slab);
  }
  slabs_ -= std::exchange(kept_count_, 0);
}

void SlabHeap::list(Slab* slab) {
  // Behind the first, which goes on being filled: the others may empty meanwhile.
  Slab*& first = partial_[slab->size_class];
  slab->listed = true;
  slab->previous = first;
  slab->next = first ? first->next : nullptr;
  if (!first) {
    first = slab;
    return;
  }
  if (slab->next) slab->next->previous = slab;
  first->next = slab;
}

void SlabHeap::unlist(Slab* slab) {
  slab->listed = false;
  if (slab->next) slab->next->previous = slab->previous;
  (slab->previous ? slab->previous->next : partial_[slab->size_class]) = slab->next;
  slab->next = slab->previous = nullptr;
}

void SlabHeap::free_remotely(void* block) {
  Slab* slab = slab_of(block);
  const uint16_t offset = slab->offset_of(block);
  uint32_t seen = slab->remote.load(std::memory_order_relaxed);
  uint32_t count;
  do {
    count = seen >> 16;
    *static_cast<uint16_t*>(block) = static_cast<uint16_t>(seen);
  } while (!slab->remote.compare_exchange_weak(seen, (count + 1) << 16 | offset, std::memory_order_acq_rel,
                                               std::memory_order_relaxed));
  if (count > 0) return;  // whoever freed the first one announces the slab
  slab->remote_last = offset;
  std::atomic<Slab*>& announced = slab->heap->remote_;
  slab->next_remote = announced.load(std::memory_order_relaxed);
  while (!announced.compare_exchange_weak(slab->next_remote, slab, std::memory_order_release,
                                          std::memory_order_relaxed)) {
  }
}

void SlabHeap::take_remote(Slab* slab) {
  // From the exchange on, another thread may begin a new chain.
  const uint16_t last = slab->remote_last;
  const uint32_t taken = slab->remote.exchange(0, std::memory_order_acq_rel);
  const auto first = static_cast<uint16_t>(taken);
  if (slab->first_free) {
    *static_cast<uint16_t*>(slab->at(slab->last_free)) = first;
  } else {
    slab->first_free = first;
  }
  slab->last_free = last;
  slab->live = static_cast<uint16_t>(slab->live - (taken >> 16));
  const size_t units = size_t{taken >> 16} * slab->block_units;
  used_units_ -= units;
  collected_units_ += units;
  settle(slab);
}

void SlabHeap::collect(size_t slabs) {
  for (; slabs > 0; --slabs) {
    if (!collecting_) {
      if (!remote_.load(std::memory_order_relaxed)) return;
      collecting_ = remote_.exchange(nullptr, std::memory_order_acquire);
    }
    Slab* slab = collecting_;
    // Once its chain is taken, another thread may announce the slab again, and uses its link.
    collecting_ = slab->next_remote;
    take_remote(slab);
  }
}

namespace blocks {

constinit thread_local SlabHeap heap;

namespace {

constexpr size_t kSlabsAtOnce = 64;

}  // namespace

void* allocate_large(size_t bytes) {
  void* block = std::malloc(bytes);
  if (!block) throw std::bad_alloc();
  return block;
}

void free_large(void* block) { std::free(block); }

size_t size_of_large(const void* block) { return malloc_usable_size(const_cast<void*>(block)); }

bool fits_in_place(const void* block, size_t before, size_t after) {
  if (before <= SlabHeap::kMaxBytes || after <= SlabHeap::kMaxBytes)
    return after <= SlabHeap::kMaxBytes && SlabHeap::rounded(before) == SlabHeap::rounded(after);
  const size_t room = size_of_large(block);
  return after <= room && after >= room / 2;
}

void purge() { heap.purge(); }

bool collect() {
  heap.collect(kSlabsAtOnce);
  return heap.has_remote();
}

}  // namespace blocks

}  // namespace quartet
