// How long the turns of a server's event loop are, in its own CPU time, for any server that waits in epoll_wait(2):
// preloaded (LD_PRELOAD), it measures from each return of that call to the next one. What else runs on the machine is
// not in it.
//
// At SIGUSR2 it adds a line to the file that the environment's TURNS_FILE names, and begins anew:
//
//     turns=<how many> p99.9=<us> longest=<us>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace {

constexpr int64_t kLongestUs = 1'000'000;

struct Turns {
  uint64_t by_us[kLongestUs + 1];  // how many took so long
  uint64_t count;
  int64_t longest_us;
};
Turns g_turns;
int64_t g_began_us = -1;  // the turn under way
volatile std::sig_atomic_t g_report = 0;

int64_t cpu_us() {
  timespec now;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

int64_t percentile_us(double share) {
  const auto wanted = static_cast<uint64_t>(static_cast<double>(g_turns.count) * share);
  int64_t at = 0;
  for (uint64_t seen = g_turns.by_us[0]; seen < wanted && at < kLongestUs;) seen += g_turns.by_us[++at];
  return at;
}

void report() {
  char line[128];
  const int size =
      std::snprintf(line, sizeof line, "turns=%llu p99.9=%lld longest=%lld\n",
                    static_cast<unsigned long long>(g_turns.count), static_cast<long long>(percentile_us(0.999)),
                    static_cast<long long>(g_turns.longest_us));
  if (const char* name = std::getenv("TURNS_FILE")) {
    const int file = ::open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file >= 0 && ::write(file, line, static_cast<size_t>(size)) == size) ::close(file);
  }
  g_turns = {};
}

__attribute__((constructor)) void listen() {
  struct sigaction action {};
  action.sa_handler = [](int) { g_report = 1; };
  ::sigaction(SIGUSR2, &action, nullptr);
}

void turn_ends() {
  // Other threads, and a child that writes a snapshot, have no turns.
  if (::gettid() == ::getpid() && g_began_us >= 0) {
    const int64_t took_us = std::clamp<int64_t>(cpu_us() - g_began_us, 0, kLongestUs);
    ++g_turns.by_us[took_us];
    ++g_turns.count;
    g_turns.longest_us = std::max(g_turns.longest_us, took_us);
  }
  if (g_report) {
    g_report = 0;
    report();
  }
}

void turn_begins() {
  if (::gettid() == ::getpid()) g_began_us = cpu_us();
}

}  // namespace

extern "C" int epoll_wait(int descriptor, epoll_event* events, int most, int timeout) {
  static const auto real = reinterpret_cast<decltype(&::epoll_wait)>(::dlsym(RTLD_NEXT, "epoll_wait"));
  turn_ends();
  const int ready = real(descriptor, events, most, timeout);
  turn_begins();
  return ready;
}

extern "C" int epoll_pwait(int descriptor, epoll_event* events, int most, int timeout, const sigset_t* mask) {
  static const auto real = reinterpret_cast<decltype(&::epoll_pwait)>(::dlsym(RTLD_NEXT, "epoll_pwait"));
  turn_ends();
  const int ready = real(descriptor, events, most, timeout, mask);
  turn_begins();
  return ready;
}
