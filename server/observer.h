#pragma once

#include "base/clock.h"

namespace quartet::server {

struct Session;

/// Hears of requests in the order in which they are executed. Tests set one (Server::observer) and execute the same requests again,
/// one at a time, by another server.
class Observer {
 public:
  virtual ~Observer() = default;
  /// The oldest request of the session of which this was not said yet has been executed at this time, refused, or queued for EXEC.
  /// Nothing that it wakes has been executed yet. Of a command that blocks it is said when its wait has ended. The session may
  /// have no connection any more. Nothing may be executed from within this call.
  virtual void executed(Session& session, const Time& now) = 0;
};

}  // namespace quartet::server
