#include "persistence/snapshot.h"

#include <malloc.h>

#include <algorithm>

namespace quartet::persistence {

namespace {

/// What it costs to pass a bucket of which nothing is to be saved, in bytes of output that take as long.
constexpr size_t kBucketCost = 16;

}  // namespace

Snapshot::Snapshot(std::span<storage::Keyspace* const> keyspaces, Facts facts, bool compress, Bounds bounds)
    : bounds_(bounds), writer_(out_, compress) {
  writer_.header(facts);
  for (storage::Keyspace* keyspace : keyspaces) {
    databases_.push_back({keyspace->index(), keyspace->size(), keyspace->expiring(),
                          std::make_unique<Walk>(*keyspace, *this, bounds.large_bytes)});
    entries_ += keyspace->size();
  }
}

Snapshot::~Snapshot() {
  slices_.reset();
  for (const Large& large : large_) {
    if (large.kept) {
      large.walk->discard(large.entry);
    } else {
      Walk::forget(large.entry);
    }
  }
}

Snapshot::State Snapshot::state() const {
  if (done_) return State::Done;
  return chunks_.size() >= bounds_.chunks ? State::Full : State::Running;
}

Snapshot::State Snapshot::step(size_t budget_bytes) {
  size_t spent = 0;
  while (spent < budget_bytes && state() == State::Running) {
    const uint64_t before = bytes();
    if (!large_.empty()) {
      large_step(budget_bytes - spent);
    } else if (turn_ == databases_.size()) {
      writer_.end();
      done_ = true;
    } else if (databases_[turn_].walk->through()) {
      // No large entry is left, so none knows this walk.
      databases_[turn_++].walk.reset();
    } else {
      databases_[turn_].walk->step();
    }
    spent += bytes() - before + kBucketCost;
  }
  return state();
}

std::optional<std::string> Snapshot::take() {
  if (chunks_.empty() && !(done_ && !out_.empty())) return {};
  std::string chunk;
  if (chunks_.empty()) {
    chunk.swap(out_);
  } else {
    chunk = std::move(chunks_.front());
    chunks_.pop_front();
    chunk_bytes_ -= chunk.size();
  }
  taken_bytes_ += chunk.size();
  return chunk;
}

size_t Snapshot::memory_of(const std::string& chunk) {
  // A short one lies in the string itself.
  return chunk.capacity() < sizeof(std::string) ? 0 : malloc_usable_size(const_cast<char*>(chunk.data()));
}

size_t Snapshot::memory() const {
  size_t bytes = memory_of(out_) + memory_of(aside_) + kept_bytes_;
  for (const std::string& chunk : chunks_) bytes += memory_of(chunk);
  for (const Database& each : databases_)
    if (each.walk) bytes += each.walk->memory();
  return bytes;
}

bool Snapshot::must_wait(const storage::Keyspace& keyspace, Entry* entry) {
  Walk* walk = keyspace.snapshot();
  if (!walk || !walk->belongs_to(*this) || !walk->is_large(*entry) || walk->saved(*entry)) return false;
  if (!Walk::postponed(*entry)) walk->postpone(entry);
  const auto at = find(entry);
  // Nothing comes before one that is begun.
  const auto first = slices_ ? std::next(large_.begin()) : large_.begin();
  if (at != large_.begin()) large_.splice(first, large_, at);
  return true;
}

// --- From the walks --------------------------------------------------------------------------------------------------

void Snapshot::save(int database, const Entry& entry) {
  ++entries_written_;
  if (slices_) {
    out_.swap(aside_);
    std::swap(selected_, selected_aside_);
  }
  select(database);
  writer_.entry(entry);
  if (slices_) {
    out_.swap(aside_);
    std::swap(selected_, selected_aside_);
  } else {
    cut_chunk();
  }
}

void Snapshot::postpone(Walk& walk, Entry* entry) { large_.push_back({&walk, entry, false}); }

void Snapshot::finish(Entry* entry) {
  const auto at = find(entry);
  if (slices_ && at == large_.begin()) {
    while (slices_) large_step(SIZE_MAX);
    return;
  }
  save(at->walk->database(), *entry);
  ++large_written_;
  large_.erase(at);
}

void Snapshot::keep(Walk& walk, Entry* entry) {
  if (Walk::postponed(*entry)) {
    find(entry)->kept = true;
  } else {
    large_.push_back({&walk, entry, true});
  }
  kept_bytes_ += storage::memory_of(*entry);
}

// --- Writing ---------------------------------------------------------------------------------------------------------

const Snapshot::Database& Snapshot::database(int index) const {
  return *std::lower_bound(databases_.begin(), databases_.end(), index,
                           [](const Database& each, int wanted) { return each.index < wanted; });
}

void Snapshot::select(int index) {
  if (selected_ == index) return;
  selected_ = index;
  const Database& selected = database(index);
  writer_.begin_database(index, selected.size, selected.expiring);
}

void Snapshot::large_step(size_t budget_bytes) {
  const Large large = large_.front();
  if (!slices_) {
    select(large.walk->database());
    slices_.emplace(writer_, *large.entry);
  }
  const bool more = slices_->step(budget_bytes);
  if (!more) {
    slices_.reset();
    large_.pop_front();
    ++large_written_;
    ++entries_written_;
    if (large.kept) {
      kept_bytes_ -= storage::memory_of(*large.entry);
      large.walk->discard(large.entry);
    } else {
      large.walk->written(large.entry);
    }
    if (!aside_.empty()) {
      out_ += aside_;
      aside_.clear();
      selected_ = std::exchange(selected_aside_, -1);
    }
  }
  cut_chunk();
}

std::list<Snapshot::Large>::iterator Snapshot::find(const Entry* entry) {
  return std::find_if(large_.begin(), large_.end(), [&](const Large& large) { return large.entry == entry; });
}

void Snapshot::cut_chunk() {
  if (out_.size() < bounds_.chunk_bytes) return;
  chunk_bytes_ += out_.size();
  chunks_.push_back(std::move(out_));
  out_ = std::string();
  // A little more than is in a chunk, so that it does not grow by copying itself.
  out_.reserve(bounds_.chunk_bytes + bounds_.large_bytes - 1);
}

}  // namespace quartet::persistence
