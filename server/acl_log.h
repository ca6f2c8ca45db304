#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace quartet::server {

/// What users were refused, and logins that failed, newest first: ACL LOG.
class AclLog {
 public:
  enum class Reason : uint8_t { Auth, Command, Key, Channel, Database };
  enum class Source : uint8_t { TopLevel, Multi, Lua };

  struct Entry {
    Reason reason;
    Source source;
    std::string object;  // the command, key, channel or database; at most limits::kAclLogObjectBytes of it
    std::string user;    // the same
    std::string client;  // the client that was the last one, as CLIENT LIST describes it
    int64_t count = 1;
    int64_t last_ms = 0;  // monotonic: of the last time
  };

  /// Adds an entry, or counts it with one of the latest that is like it and not older than a minute.
  void add(Reason reason, Source source, std::string_view object, std::string_view user, std::string client, const Time& now,
           size_t max_length);
  void trim(size_t max_length);
  void clear() { entries_.clear(); }
  const std::deque<Entry>& entries() const { return entries_; }

 private:
  std::deque<Entry> entries_;
};

}  // namespace quartet::server
