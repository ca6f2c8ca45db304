#include "server/net/scheduling.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace quartet::net {

void ask_for_short_slices() {
  constexpr uint64_t kShortestNs = 100'000;
  struct {  // struct sched_attr, which the C library does not declare
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
  } attributes{};
  attributes.size = sizeof attributes;
  attributes.policy = SCHED_OTHER;
  attributes.nice = ::getpriority(PRIO_PROCESS, 0);
  attributes.runtime_ns = kShortestNs;
  // Older systems take no notice, or do not need it. Whoever has been given another policy keeps it.
  if (::sched_getscheduler(0) == SCHED_OTHER) (void)::syscall(SYS_sched_setattr, 0, &attributes, 0);
}

void give_way() {
  constexpr int kSteps = 10, kLast = 19;
  // On Linux this is the calling thread alone.
  (void)::setpriority(PRIO_PROCESS, 0, std::min(::getpriority(PRIO_PROCESS, 0) + kSteps, kLast));
}

}  // namespace quartet::net
