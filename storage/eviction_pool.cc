#include "storage/eviction_pool.h"

#include <algorithm>

#include "storage/access.h"

namespace quartet::storage {

namespace {

/// Buckets that one choice looks through at most, where few of their slots hold what the policy permits: some
/// microseconds.
constexpr size_t kBuckets = 512;

uint64_t basis_of(const Entry& entry, EvictionPolicy policy) {
  return policy == EvictionPolicy::VolatileTtl ? static_cast<uint64_t>(entry.expiry()) : entry.access();
}

uint64_t rank_of(uint64_t basis, const EvictionRule& rule, const Time& now) {
  if (rule.policy == EvictionPolicy::VolatileTtl) return ~basis;
  const auto access = static_cast<uint32_t>(basis);
  if (!rule.counts_accesses()) return LruAccess::idle(access, now);
  return 255 - LfuAccess::counter(access, now, rule.lfu_decay_time);
}

}  // namespace

Entry* EvictionPool::choose(const Keyspace& keyspace, const EvictionRule& rule, const Time& now, Random& random) {
  if (rule.policy == EvictionPolicy::AllKeysRandom) return keyspace.random(random);
  if (policy_ != rule.policy) {
    policy_ = rule.policy;
    count_ = 0;
  }
  if (!cursor_) cursor_ = random.next();
  judge(rule, now);
  sample(keyspace, rule, now, random);
  while (count_ > 0) {
    Candidate* best = std::max_element(candidates_.data(), candidates_.data() + count_);
    Entry* entry = keyspace.find_hashed(best->hash);
    const bool permitted = entry && (entry->expires() || !rule.only_expiring());
    if (permitted && basis_of(*entry, rule.policy) != best->basis) {
      best->basis = basis_of(*entry, rule.policy);
      best->rank = rank_of(best->basis, rule, now);
      continue;
    }
    *best = candidates_[--count_];
    if (permitted) return entry;
  }
  return nullptr;
}

void EvictionPool::judge(const EvictionRule& rule, const Time& now) {
  for (size_t i = 0; i < count_; ++i) candidates_[i].rank = rank_of(candidates_[i].basis, rule, now);
}

void EvictionPool::sample(const Keyspace& keyspace, const EvictionRule& rule, const Time& now, Random& random) {
  // Any entry is as good as another, so that one is enough.
  const size_t wanted = rule.policy == EvictionPolicy::VolatileRandom ? 1 : rule.samples;
  const auto visit = [&](const Entry& entry) {
    ++sampled_;
    const uint64_t basis = basis_of(entry, rule.policy);
    consider({Keyspace::hash(entry.key()), basis, rank_of(basis, rule, now), random.next()});
  };
  // A bucket is looked at as a whole: what lies last in it would otherwise be passed over each time, and never go.
  for (size_t bucket = 0; bucket < kBuckets && sampled_ < wanted; ++bucket)
    cursor_ = rule.only_expiring() ? keyspace.scan_expiring(*cursor_, 1, visit) : keyspace.scan(*cursor_, visit);
  sampled_ -= std::min(sampled_, wanted);
}

void EvictionPool::consider(const Candidate& candidate) {
  Candidate* end = candidates_.data() + count_;
  Candidate* known =
      std::find_if(candidates_.data(), end, [&](const Candidate& each) { return each.hash == candidate.hash; });
  if (known != end) {
    *known = candidate;
  } else if (count_ < kCandidates) {
    candidates_[count_++] = candidate;
  } else if (Candidate* worst = std::min_element(candidates_.data(), end); *worst < candidate) {
    *worst = candidate;
  }
}

}  // namespace quartet::storage
