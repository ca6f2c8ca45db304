#include "server/net/signals.h"

#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

namespace quartet::net {

Signals::Signals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGINT);
  ::sigaddset(&set, SIGHUP);
  descriptor_ = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (descriptor_ >= 0) ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

Signals::~Signals() {
  // They stay blocked: the process is about to end anyway, and a second SIGTERM is no reason to end it differently.
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::optional<int> Signals::next() {
  signalfd_siginfo info;
  if (::read(descriptor_, &info, sizeof info) != sizeof info) return {};
  return static_cast<int>(info.ssi_signo);
}

}  // namespace quartet::net
