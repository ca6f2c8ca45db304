#include "storage/snapshot_walk.h"

#include <cassert>
#include <utility>

namespace quartet::storage {

SnapshotWalk::SnapshotWalk(Keyspace& keyspace, SnapshotSink& sink, size_t large_bytes)
    : keyspace_(&keyspace),
      sink_(sink),
      database_(keyspace.index()),
      large_bytes_(large_bytes),
      mark_(keyspace.mark_ % kMarks + 1) {
  assert(!keyspace.walk_);
  while (keyspace.stale_marks_ >= kMarks) keyspace.clean_marks(SIZE_MAX);
  keyspace.mark_ = mark_;
  // The cleaning of marks would begin anew behind this walk, which does it as well.
  keyspace.clean_cursor_ = 0;
  keyspace.walk_ = this;
}

SnapshotWalk::~SnapshotWalk() {
  if (contents_) {
    keyspace_->observer_.reclaim(std::move(contents_));
    return;
  }
  keyspace_->walk_ = nullptr;
  if (through_) {
    keyspace_->stale_marks_ = 0;
  } else {
    ++keyspace_->stale_marks_;
  }
}

void SnapshotWalk::step() {
  assert(!through_);
  // Entries lie anywhere in memory: those of some buckets ahead are asked for.
  constexpr int kBucketsAhead = 3;
  int buckets = 1;
  if (fetched_ <= cursor_) {
    fetched_ = cursor_;
    buckets = kBucketsAhead;
  }
  for (; buckets > 0; --buckets) fetched_ = dict().prefetch_bucket(fetched_);
  const uint64_t next = dict().scan(cursor_, [&](Entry& entry) {
    // The table may have shrunk, and a bucket begin further in front than when the cursor was set.
    if (Keyspace::hash(entry.key()) < cursor_) return;
    const unsigned mark = entry.mark();
    if (mark) entry.set_mark(0);
    if (mark == mark_ || entry.postponed()) return;
    if (is_large(entry)) {
      postpone(&entry);
    } else {
      sink_.save(database_, entry);
    }
  });
  cursor_ = next;
  through_ = next == 0;
}

void SnapshotWalk::postpone(Entry* entry) {
  entry->set_postponed(true);
  sink_.postpone(*this, entry);
}

void SnapshotWalk::written(Entry* entry) {
  entry->set_postponed(false);
  added(Keyspace::hash(entry->key()), *entry);
}

void SnapshotWalk::before_change(Entry& entry) {
  const uint64_t hash = Keyspace::hash(entry.key());
  if (saved(hash, entry)) return;
  if (entry.postponed()) {
    sink_.finish(&entry);
    entry.set_postponed(false);
  } else {
    sink_.save(database_, entry);
  }
  added(hash, entry);
}

}  // namespace quartet::storage
