#include "server/process_info.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

// Present where jemalloc is linked in; the sanitizers' builds go without.
extern "C" int mallctl(const char* name, void* old_value, size_t* old_length, void* new_value, size_t new_length)
    __attribute__((weak));

namespace quartet::server {

namespace {

template <class T>
T read_control(const char* name) {
  T value{};
  size_t length = sizeof value;
  mallctl(name, &value, &length, nullptr, 0);
  return value;
}

/// jemalloc keeps its statistics per epoch; advancing it makes them current.
void refresh_statistics() {
  uint64_t epoch = 1;
  size_t length = sizeof epoch;
  mallctl("epoch", &epoch, &length, &epoch, sizeof epoch);
}

int64_t microseconds(const timeval& time) { return int64_t{time.tv_sec} * 1'000'000 + time.tv_usec; }

}  // namespace

AllocatorFigures allocator_figures() {
  if (!mallctl) {
    const size_t used = mallinfo2().uordblks;
    return {used, used, used};
  }
  refresh_statistics();
  return {read_control<size_t>("stats.allocated"), read_control<size_t>("stats.active"),
          read_control<size_t>("stats.resident")};
}

size_t allocated_bytes() { return allocator_figures().allocated; }

std::string allocator_name() {
  if (!mallctl) return "libc";
  const std::string version = read_control<const char*>("version");
  return "jemalloc-" + version.substr(0, version.find('-'));
}

size_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (!file) return 0;
  unsigned long total = 0, resident = 0;
  const int read = std::fscanf(file, "%lu %lu", &total, &resident);
  std::fclose(file);
  return read == 2 ? resident * static_cast<size_t>(sysconf(_SC_PAGESIZE)) : 0;
}

size_t system_memory_bytes() {
  return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

CpuTimes cpu_times() {
  rusage own{}, children{}, thread{};
  getrusage(RUSAGE_SELF, &own);
  getrusage(RUSAGE_CHILDREN, &children);
  getrusage(RUSAGE_THREAD, &thread);
  return {microseconds(own.ru_utime),      microseconds(own.ru_stime),    microseconds(children.ru_utime),
          microseconds(children.ru_stime), microseconds(thread.ru_utime), microseconds(thread.ru_stime)};
}

}  // namespace quartet::server
