#include "server/queue_survey.h"

#include <algorithm>

#include "base/limits.h"

namespace quartet::server {

namespace {

/// A slice in the background, in buckets.
constexpr size_t kStepBuckets = 256;
/// For so long a question keeps its walk going.
constexpr int64_t kInterestMs = 60'000;

bool is_longer(const QueueSurvey::Queue& a, const QueueSurvey::Queue& b) { return a.length > b.length; }

/// Keeps the longest in a heap whose front is the shortest of them.
void offer(std::vector<QueueSurvey::Queue>& heap, const storage::Entry& entry) {
  const size_t length = storage::length_of(entry);
  if (heap.size() == limits::kShownQueues) {
    if (length <= heap.front().length) return;
    std::pop_heap(heap.begin(), heap.end(), is_longer);
    heap.pop_back();
  }
  heap.push_back({std::string(entry.key()), length});
  std::push_heap(heap.begin(), heap.end(), is_longer);
}

}  // namespace

void QueueSurvey::advance(Walk& walk, const storage::Keyspace& db, size_t buckets) {
  walk.in_round = true;
  for (; buckets > 0; --buckets) {
    // The round is over as soon as all lists have been met, which the keyspace counts.
    if (walk.met >= db.count(storage::Type::List)) break;
    walk.cursor = db.scan(walk.cursor, [&](const storage::Entry& entry) {
      if (entry.type() != storage::Type::List) return;
      ++walk.met;
      if (entry.key().size() <= limits::kQueueNameBytes) offer(walk.found, entry);
    });
    if (walk.cursor == 0) break;
  }
  if (buckets == 0) return;
  walk.last = std::move(walk.found);
  walk.found.clear();
  walk.cursor = walk.met = 0;
  walk.in_round = false;
}

std::vector<QueueSurvey::Queue> QueueSurvey::ask(const storage::Keyspace& db, const Time& now, size_t buckets) {
  Walk& walk = walks_[db.index()];
  walk.asked_ms = now.mono_ms();
  advance(walk, db, buckets);
  std::vector<Queue> queues = walk.last;
  queues.insert(queues.end(), walk.found.begin(), walk.found.end());
  for (Queue& queue : queues) {
    const storage::Entry* entry = db.find_raw(queue.name);
    const bool there = entry && entry->type() == storage::Type::List && !entry->expired(now.wall_ms());
    queue.length = there ? storage::length_of(*entry) : 0;
  }
  std::erase_if(queues, [](const Queue& queue) { return queue.length == 0; });
  std::sort(queues.begin(), queues.end(), [](const Queue& a, const Queue& b) {
    return a.length != b.length ? a.length > b.length : a.name < b.name;
  });
  queues.erase(std::unique(queues.begin(), queues.end(), [](const Queue& a, const Queue& b) { return a.name == b.name; }), queues.end());
  if (queues.size() > limits::kShownQueues) queues.resize(limits::kShownQueues);
  return queues;
}

void QueueSurvey::step(std::span<const std::unique_ptr<storage::Keyspace>> databases, const Time& now) {
  if (walks_.empty()) return;
  std::erase_if(walks_, [&](const auto& item) { return now.mono_ms() - item.second.asked_ms > kInterestMs; });
  // One slice of one database in each call, in turn; a round that has ended begins again with the next question.
  for (size_t turn = 0; turn < walks_.size(); ++turn) {
    auto walk = walks_.lower_bound(next_);
    if (walk == walks_.end()) walk = walks_.begin();
    next_ = walk->first + 1;
    if (!walk->second.in_round) continue;
    return advance(walk->second, *databases[static_cast<size_t>(walk->first)], kStepBuckets);
  }
}

}  // namespace quartet::server
