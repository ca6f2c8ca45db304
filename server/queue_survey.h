#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "storage/keyspace.h"

namespace quartet::server {

/// The longest lists of databases, which are what a broker's queues lie in. Nothing is kept up for it while lists change: a walk
/// through the keys finds them, in slices, and only of databases that somebody has asked about within the last minute. Lengths
/// are those of the moment, because a list that the walk has met is looked up again when it is shown.
class QueueSurvey {
 public:
  struct Queue {
    std::string name;
    size_t length;
  };

  /// How far a question goes on with the walk, in buckets of about six keys: where it is about one database, and where about all.
  /// A thousand take less than a millisecond where the keys are not in the cache.
  static constexpr size_t kOneBuckets = 1024;
  static constexpr size_t kEachBuckets = 128;

  /// At most limits::kShownQueues lists, the longest first. In a database of so many buckets they are the longest ones that there
  /// are; in a larger one those that the walk has met so far, and all when it has come round.
  std::vector<Queue> ask(const storage::Keyspace& db, const Time& now, size_t buckets);

  /// Goes on with one of the walks for a slice. To be called again and again.
  void step(std::span<const std::unique_ptr<storage::Keyspace>> databases, const Time& now);

 private:
  struct Walk {
    uint64_t cursor = 0;
    size_t met = 0;                  // lists in this round
    std::vector<Queue> found, last;  // the longest of this round, a heap with the shortest in front, and those of the last one
    int64_t asked_ms = 0;            // on the monotonic clock
    bool in_round = false;
  };
  static void advance(Walk& walk, const storage::Keyspace& db, size_t buckets);

  std::map<int, Walk> walks_;  // by database; bounded by how many there are
  int next_ = 0;               // the database whose walk goes on next
};

}  // namespace quartet::server
