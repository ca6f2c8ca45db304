#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace quartet::test {

/// One request of a client, as it goes over the wire.
struct Request {
  enum class Kind {
    Plain,
    /// It may wait for one of several keys.
    Blocking,
    /// A script that runs long enough to be called busy, and may be killed.
    Busy,
    /// Its reply tells of what only the simulated server does: who waits, which snapshot is being written.
    Local,
    /// No request at all: the connection ends by it.
    Malformed,
  };
  std::string bytes;
  std::vector<std::string> arguments;  // empty where it is memcached's or malformed
  Kind kind = Kind::Plain;
};

/// Random requests of all kinds. What they find is the same at any time, so that a server that is given them in the
/// same order gives the same replies: nothing is random, no cursors, no counts that take what has expired for being
/// there.
class Requests {
 public:
  /// Keyspace events are on in database 0, keys of database 1 get an expiry by themselves, memcached's are in database
  /// 3.
  static constexpr int kDatabases = 4, kEvents = 0, kMemcached = 3;

  explicit Requests(uint64_t seed) : random_(seed) {}

  /// The next requests of a client: one, or several that belong together. `clients` is the greatest id that a client
  /// has.
  std::vector<Request> next(bool memcached, uint64_t clients);
  std::vector<Request> log_in();
  Request setup(std::string_view words) { return fill(words, Request::Kind::Plain); }

 private:
  Request fill(std::string_view words, Request::Kind kind);
  std::string value(std::string_view sort);
  std::vector<Request> transaction();
  Request script(bool busy);
  std::vector<Request> busy();
  Request large();
  Request memcached();
  Request malformed(bool memcached);
  uint64_t below(uint64_t bound) { return random_.below(bound); }

  Random random_;
  uint64_t clients_ = 1;
  uint64_t elements_ = 0;
};

}  // namespace quartet::test
