// A disk whose syncs take long, for any server: preloaded (LD_PRELOAD), it lets each fsync and fdatasync take as many
// microseconds more as the environment's SLOW_SYNC_US says.

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>

namespace {

int delayed(const char* name, int descriptor) {
  using Sync = int (*)(int);
  const auto real = reinterpret_cast<Sync>(::dlsym(RTLD_NEXT, name));
  const int status = real(descriptor);
  if (const char* microseconds = std::getenv("SLOW_SYNC_US"))
    ::usleep(static_cast<useconds_t>(std::atoi(microseconds)));
  return status;
}

}  // namespace

extern "C" int fsync(int descriptor) { return delayed("fsync", descriptor); }
extern "C" int fdatasync(int descriptor) { return delayed("fdatasync", descriptor); }
