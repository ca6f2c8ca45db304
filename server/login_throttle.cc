#include "server/login_throttle.h"

#include <algorithm>

#include "base/limits.h"

namespace quartet::server {

namespace {

constexpr int64_t kFailureMs = 1000;
/// Failures that cost nothing yet.
constexpr int64_t kForgivenMs = 10 * kFailureMs;
/// The first delay; each further failure doubles it.
constexpr int64_t kFirstDelayMs = 50;
/// More debt than this is forgotten, so that a minute of peace always ends it.
constexpr int64_t kMostDebtMs = 60 * kFailureMs;

std::string_view without_port(std::string_view address) { return address.substr(0, address.rfind(':')); }

}  // namespace

void LoginThrottle::failed(std::string_view address, const Time& now) {
  const int64_t now_ms = now.mono_ms();
  auto found = debts_.find(without_port(address));
  if (found == debts_.end()) {
    if (debts_.size() >= limits::kLoginAddresses) std::erase_if(debts_, [&](const auto& debt) { return debt.second <= now_ms; });
    // Where all are in debt, the one with the least makes room.
    if (debts_.size() >= limits::kLoginAddresses)
      debts_.erase(std::min_element(debts_.begin(), debts_.end(), [](const auto& a, const auto& b) { return a.second < b.second; }));
    found = debts_.emplace(without_port(address), now_ms).first;
  }
  found->second = std::min(std::max(found->second, now_ms) + kFailureMs, now_ms + kMostDebtMs);
}

int64_t LoginThrottle::delay_ms(std::string_view address, const Time& now) const {
  if (debts_.empty()) return 0;
  const auto found = debts_.find(without_port(address));
  if (found == debts_.end()) return 0;
  const int64_t excess_ms = found->second - now.mono_ms() - kForgivenMs;
  if (excess_ms <= 0) return 0;
  const int64_t doublings = std::min<int64_t>(excess_ms / kFailureMs, 20);
  return std::min(kFirstDelayMs << doublings, limits::kLoginDelayMs);
}

std::vector<uint64_t> LoginThrottle::take_due(const Time& now) {
  std::vector<uint64_t> due;
  while (!held_.empty() && held_.begin()->first <= now.mono_us) {
    due.push_back(held_.begin()->second);
    held_.erase(held_.begin());
  }
  return due;
}

}  // namespace quartet::server
