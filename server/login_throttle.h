#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace quartet::server {

/// Slows down who guesses passwords. Every failed login is a debt of its address, of which a second pays off one: a client
/// that is configured wrongly and tries again and again now and then harms nobody. Beyond a few of them, each further
/// attempt from that address waits before it is looked at, so that nothing is to be learned by not waiting for the answer,
/// and ever longer, up to limits::kLoginDelayMs. Others are not touched, nor are clients that have logged in.
class LoginThrottle {
 public:
  /// A login from `address` ("127.0.0.1:50000"; the port does not count) has failed.
  void failed(std::string_view address, const Time& now);

  /// How long an attempt from there has to wait, in ms.
  int64_t delay_ms(std::string_view address, const Time& now) const;
  /// How many addresses are in debt, or were of late: at most limits::kLoginAddresses.
  size_t addresses() const { return debts_.size(); }

  // Sessions that wait.
  void hold(uint64_t session, int64_t until_us) { held_.emplace(until_us, session); }
  /// Monotonic; 0: nobody waits.
  int64_t next_deadline_us() const { return held_.empty() ? 0 : held_.begin()->first; }
  /// Takes out those whose time is over. They may have gone away meanwhile.
  std::vector<uint64_t> take_due(const Time& now);

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  /// By address without port: when the last of its debt is paid off, in monotonic ms.
  std::unordered_map<std::string, int64_t, Hash, std::equal_to<>> debts_;
  std::set<std::pair<int64_t, uint64_t>> held_;
};

}  // namespace quartet::server
