#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "base/random.h"
#include "storage/eviction.h"

namespace quartet::storage {

/// Chooses what to evict from one keyspace. LRU, LFU and the nearest expiry are approximated by samples with a pool of
/// candidates, as Redis documents it for `maxmemory-samples`: of the entries that each choice looks at, those that are
/// better to evict than what is in the pool go into it, and the best one of the pool is chosen.
///
/// Samples are taken in the order of the hashes, which has nothing to do with what keys are or when they are used; from
/// choice to choice they go on where they ended, so that every entry is looked at once before any is again. A candidate
/// is known by its hash and by what it was judged by. It is judged anew at each choice, against the time that has come,
/// and one that was used since it came into the pool is not chosen for what it was. Among equals, of which LFU knows
/// many, a lot decides that each draws as it is looked at: the order of the table, round after round the same, would
/// send some away at once and spare others for long.
class EvictionPool {
 public:
  /// The entry that is to go next. Null where the part of the table that one call looks through has none; the next
  /// call goes on behind it. REQUIRES: rule.permits(keyspace).
  Entry* choose(const Keyspace& keyspace, const EvictionRule& rule, const Time& now, Random& random);

 private:
  static constexpr size_t kCandidates = 16;

  struct Candidate {
    uint64_t hash;
    uint64_t basis;  // what its entry is judged by: access bits or expiry
    uint64_t rank;   // as of this choice: the highest goes first
    uint64_t lot;    // decides among equal ranks

    bool operator<(const Candidate& other) const { return rank != other.rank ? rank < other.rank : lot < other.lot; }
  };

  void judge(const EvictionRule& rule, const Time& now);
  void sample(const Keyspace& keyspace, const EvictionRule& rule, const Time& now, Random& random);
  void consider(const Candidate& candidate);

  std::array<Candidate, kCandidates> candidates_;
  size_t count_ = 0;
  EvictionPolicy policy_ = EvictionPolicy::NoEviction;  // by which the candidates were judged
  std::optional<uint64_t> cursor_;                      // where the next sample begins
  size_t sampled_ = 0;                                  // entries looked at for choices that are still to come
};

}  // namespace quartet::storage
