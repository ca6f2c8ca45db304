#pragma once

#include <cstdint>

namespace quartet::net {

/// Descriptors beside those of clients: listeners, files, the loop's own.
inline constexpr int64_t kReservedDescriptors = 64;

/// Raises the process's limit of open files, as far as the system allows, so that `clients` connections fit beside
/// kReservedDescriptors others. Returns how many do fit: at least `clients`, or fewer.
int64_t reserve_descriptors(int64_t clients);

}  // namespace quartet::net
