#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/limits.h"
#include "base/log_throttle.h"
#include "server/session.h"

namespace quartet::server {

class Server;

/// Keeps what is held for all clients together (`client_memory`: unfinished requests, unread replies, queued transactions, watches,
/// subscriptions, arguments of commands that wait) within `maxmemory-clients`. Where it is more, the clients that hold most
/// are disconnected, those of CLIENT NO-EVICT excepted, whose memory counts like that of others.
///
/// While there is no limit nothing is counted. Otherwise the sum and a list of clients for each power of two of what they hold are
/// kept up to date at the end of each read and each write of a client, and wherever else something is written to it.
class ClientEviction {
 public:
  explicit ClientEviction(Server& server) : server_(server) {}

  /// Follows the settings `maxmemory-clients` and `maxmemory`.
  void configure();
  /// Most bytes for all clients; SIZE_MAX: no limit.
  size_t limit() const { return limit_; }
  bool on() const { return limit_ != SIZE_MAX; }
  /// Most bytes that one of them can hold without being evicted.
  size_t limit_of(const Session& session) const { return session.no_evict ? SIZE_MAX : limit_; }

  /// What is held for the session may have changed. REQUIRES: it is one of a connection.
  void update(Session& session) {
    if (on()) count(session);
  }
  /// The session is going away.
  void forget(Session& session);
  /// Its connection is about to be closed without sending what it holds.
  void let_go(Session& session) {
    forget(session);
    session.counted.gone = true;
  }
  /// Disconnects clients until the others are within the limit. The sessions stay until their connections call close_session.
  void evict();
  /// Disconnects this one.
  void evict(Session& session);

 private:
  /// Clients that hold up to 32 KB are in the first list, up to 64 KB in the second, and so on.
  static constexpr size_t kSmallestShift = 15;
  static constexpr size_t kBuckets = 20;
  static size_t bucket_of(size_t bytes);

  void count(Session& session);
  void leave_bucket(Session& session);

  Server& server_;
  size_t limit_ = SIZE_MAX;
  LogThrottle in_vain_;
  size_t sum_ = 0;  // of Session::counted.bytes
  std::array<std::vector<Session*>, kBuckets> buckets_;
};

}  // namespace quartet::server
