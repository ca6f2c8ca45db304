#pragma once

#include <cstddef>

namespace quartet::memory_reserve {

/// Address space that is put by for the moment in which an allocation fails, so that what has to follow from that, such
/// as an error reply, finds some. It takes no memory.
inline constexpr size_t kBytes = 16 * 1024 * 1024;

/// Puts it by, where it is not, as far as the system allows. operator new uses it up from then on before it throws
/// std::bad_alloc.
void take();
/// Uses it up. Safe on any thread.
void release() noexcept;

}  // namespace quartet::memory_reserve
