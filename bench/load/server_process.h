#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

namespace quartet::load {

/// CPU time of all threads of a process that live now, user and system, in microseconds; 0 where there is no such
/// process. The first number of schedstat is the thread's nanoseconds on a CPU (Documentation/scheduler/sched-stats.rst
/// in Linux).
inline double cpu_us(int process) {
  double total_ns = 0;
  std::error_code error;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/task", error)) {
    double ns = 0;
    if (std::ifstream(thread.path() / "schedstat") >> ns) total_ns += ns;
  }
  return total_ns / 1000;
}

/// Resident memory of a process; 0 where there is no such process.
inline double rss_bytes(int process) {
  double size = 0, resident = 0;
  std::ifstream("/proc/" + std::to_string(process) + "/statm") >> size >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

}  // namespace quartet::load
