#include "server/net/descriptor_limit.h"

#include <sys/resource.h>

#include <algorithm>

namespace quartet::net {

int64_t reserve_descriptors(int64_t clients) {
  const rlim_t needed = static_cast<rlim_t>(clients + kReservedDescriptors);
  rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return clients;
  if (limit.rlim_cur < needed) {
    // Only a privileged process may raise the hard limit; the others get as far as it goes.
    const rlimit both{needed, std::max(limit.rlim_max, needed)};
    const rlimit soft{std::min(limit.rlim_max, needed), limit.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &both) != 0) (void)::setrlimit(RLIMIT_NOFILE, &soft);
    (void)::getrlimit(RLIMIT_NOFILE, &limit);
  }
  return limit.rlim_cur < needed ? static_cast<int64_t>(limit.rlim_cur) - kReservedDescriptors : clients;
}

}  // namespace quartet::net
