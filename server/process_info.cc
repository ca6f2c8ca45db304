#include "server/process_info.h"

#include <malloc.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "base/slab.h"

// Present where jemalloc is linked in; the sanitizers' builds go without.
extern "C" int mallctl(const char* name, void* old_value, size_t* old_length, void* new_value, size_t new_length)
    __attribute__((weak));
extern "C" void malloc_stats_print(void (*write)(void*, const char*), void* to, const char* options) __attribute__((weak));

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
  return {read_control<size_t>("stats.allocated") - blocks::unused_bytes(), read_control<size_t>("stats.active"),
          read_control<size_t>("stats.resident")};
}

namespace {

struct ThreadCounters {
  const uint64_t* allocated = nullptr;
  const uint64_t* freed = nullptr;
};

ThreadCounters thread_counters() {
  if (!mallctl) return {};
  return {read_control<const uint64_t*>("thread.allocatedp"), read_control<const uint64_t*>("thread.deallocatedp")};
}

}  // namespace

bool heap_is_counted() { return mallctl; }

int64_t heap_balance() {
  thread_local const ThreadCounters counters = thread_counters();
  return counters.allocated ? static_cast<int64_t>(*counters.allocated - *counters.freed) : 0;
}

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

std::string executable_path() {
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  return length > 0 ? std::string(path, static_cast<size_t>(length)) : std::string();
}

std::string operating_system() {
  utsname name{};
  uname(&name);
  return std::string(name.sysname) + " " + name.release + " " + name.machine;
}

void release_free_memory() {
  blocks::purge();
  if (!mallctl) {
    malloc_trim(0);
    return;
  }
  // 4096 is jemalloc's MALLCTL_ARENAS_ALL.
  mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0);
}

std::string allocator_report() {
  std::string report;
  if (malloc_stats_print)
    malloc_stats_print([](void* to, const char* text) { static_cast<std::string*>(to)->append(text); }, &report, nullptr);
  return report;
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
