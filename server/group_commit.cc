#include "server/group_commit.h"

#include <algorithm>

namespace quartet::server {

namespace {

/// Nothing is put off for longer than this, whatever was measured.
constexpr int64_t kLongestWaitUs = 5'000;
/// What one measurement counts for: a quarter, and no more than as if it were twice the mean so far, so that a disk or a client that
/// hangs once is forgotten soon.
constexpr int64_t kShare = 4;
constexpr int64_t kLeastUs = 100;

int64_t smoothed(int64_t mean, int64_t measured) {
  return mean + (std::min(measured, 2 * mean + kLeastUs) - mean) / kShare;
}

}  // namespace

void GroupCommit::ended(int64_t now_us, size_t released, size_t held) {
  if (released == 0) return;  // it was for other databases
  const size_t waited = released + held;
  if (awaits_return_) returned(now_us, waited > held_ ? waited - held_ : 0);
  clients_ = std::max(waited, clients_ - (clients_ + 7) / 8);
  job_us_ = smoothed(job_us_, now_us - began_us_);
  ended_us_ = now_us;
  released_ = released;
  held_ = held;
  awaits_return_ = true;
}

/// `clients` of those that were let go have come again, from which it follows how long all take who take part.
void GroupCommit::returned(int64_t now_us, size_t clients) {
  awaits_return_ = false;
  const auto all = static_cast<int64_t>(std::max(clients_, clients)), these = static_cast<int64_t>(std::max<size_t>(clients, 1));
  return_us_ = smoothed(return_us_, (now_us - ended_us_) * all / these);
}

bool GroupCommit::waits(int64_t now_us, size_t held) const {
  if (held == 0) return false;
  // Two groups need not be equal, as long as the larger one comes again within the sync of the smaller. Where even half of the clients
  // take longer, the disk waits for them anyway, and more jobs than two would only cost more.
  const size_t parts = return_us_ / 2 < job_us_ ? 3 : 2;
  const size_t enough = one_group() ? held_ + released_ : (clients_ + parts - 1) / parts;
  const int64_t longest_us = std::min(one_group() ? job_us_ : job_us_ / 2, kLongestWaitUs);
  return held < enough && now_us - ended_us_ < longest_us;
}

}  // namespace quartet::server
