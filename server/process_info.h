#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace quartet::server {

/// What the calling thread has allocated since it began less what it has freed, in bytes: a running figure that costs two reads.
/// 0 where the allocator does not keep it, which is told by `heap_is_counted`.
int64_t heap_balance();
bool heap_is_counted();

/// What the allocator has handed out and not got back, without what slabs hold of it unused, and what it holds of the system, for
/// fragmentation: bytes in active pages and bytes resident.
struct AllocatorFigures {
  size_t allocated = 0, active = 0, resident = 0;
};
AllocatorFigures allocator_figures();
/// "jemalloc-5.3.0", or "libc".
std::string allocator_name();

/// Resident set of the process, in bytes.
size_t resident_bytes();
/// The machine's memory, in bytes.
size_t system_memory_bytes();

/// Path of the running program; empty where the system does not tell.
std::string executable_path();
/// "Linux 6.1.0 x86_64".
std::string operating_system();
/// Gives memory that is free but still held back to the system, where the allocator can.
void release_free_memory();
/// The allocator's own report of itself; empty where it has none.
std::string allocator_report();

/// CPU time in microseconds.
struct CpuTimes {
  int64_t user_us, system_us;
  int64_t children_user_us, children_system_us;
  int64_t main_thread_user_us, main_thread_system_us;
};
CpuTimes cpu_times();

}  // namespace quartet::server
