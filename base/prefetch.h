#pragma once

namespace quartet {

/// Asks for the cache line at `address`, so that a read some time later does not wait for memory. Any address will do.
inline void prefetch_line(const void* address) {
  __builtin_prefetch(address);
  // To gcc a function that does nothing but prefetch has no effect, and it drops the calls of it. This is an effect.
  asm volatile("");
}

}  // namespace quartet
