#include "storage/keyspace.h"

#include <algorithm>
#include <new>

#include "base/slab.h"
#include "storage/snapshot_walk.h"

namespace quartet::storage {

namespace {

size_t own_memory(const Entry* entry) { return blocks::size(entry, entry->size()); }

/// A value that was taken out of its keyspace because freeing it takes long.
struct SlowEntry final : Garbage {
  explicit SlowEntry(Entry* taken) : Garbage(memory_of(*taken)), entry(taken) {}
  ~SlowEntry() override { dispose(entry); }
  Entry* entry;
};

}  // namespace

Keyspace::Keyspace(int index, KeyspaceObserver& observer, const Thresholds& thresholds)
    : index_(index), observer_(observer), thresholds_(thresholds) {}

Keyspace::~Keyspace() {
  assert(!walk_);
  dict_.for_each([](Entry& entry, bool) {
    dispose(&entry);
    return true;
  });
}

Keyspace::Contents::~Contents() {
  dict.for_each([](Entry& entry, bool) {
    dispose(&entry);
    return true;
  });
}

Entry* Keyspace::allocate(std::string_view key, const Entry::Shape& shape) {
  void* memory = blocks::allocate(Entry::size_for(key.size(), shape));
  Entry* entry = new (memory) Entry;
  entry->format(key.size(), shape);
  entry->access_ = 0;
  if (!Entry::has_bytes(shape.encoding)) Entry::store(entry->payload(), 0);
  if (!key.empty()) std::memcpy(entry->text(), key.data(), key.size());
  return entry;
}

Entry* Keyspace::make(std::string_view key, Type type, Encoding encoding, size_t value_bytes, int64_t expiry_ms,
                      const Note& note) const {
  assert(type == Type::String || note.empty());
  const bool expires = expiry_ms >= 0, noted = !note.empty();
  Entry* entry = allocate(key, {type, encoding, value_bytes, expires, noted});
  entry->access_ = new_access_;
  if (noted) entry->store_note(note);
  if (expires) Entry::store(entry->fixed(), expiry_ms);
  return entry;
}

Entry* Keyspace::create(std::string_view key, Type type, Encoding encoding, size_t value_bytes, int64_t expiry_ms,
                        const Note& note) {
  assert(!locked_);
  Entry* entry = make(key, type, encoding, value_bytes, expiry_ms, note);
  const uint64_t at = hash(key);
  try {
    dict_.insert(at, entry, entry->expires());
  } catch (...) {
    dispose(entry);
    throw;
  }
  if (entry->expires()) ++expiring_;
  charged_ += own_memory(entry);
  ++counter(type);
  if (walk_) walk_->added(at, *entry);
  if (announces_new_) observer_.created(*this, key);
  return entry;
}

void Keyspace::reshape(Entry*& entry, const Entry::Shape& shape) {
  assert(!locked_ && (!walk_ || walk_->saved(*entry)));
  const std::string_view key = entry->key();
  const int64_t expiry = entry->expires() ? entry->expiry_word() : -1;
  const Note note = entry->note();
  const bool keeps_bytes = Entry::has_bytes(entry->encoding()) && Entry::has_bytes(shape.encoding);
  const size_t kept = keeps_bytes ? std::min(entry->bytes().size(), shape.value_bytes) : 0;
  const size_t before = own_memory(entry);

  Entry* fresh = allocate(key, shape);
  fresh->access_ = entry->access_;
  fresh->fetched_ = entry->fetched_;
  fresh->set_mark(entry->mark());
  if (shape.noted) fresh->store_note(note);
  if (entry->modified() && shape.type == entry->type()) fresh->flags_ |= Entry::kModified;
  if (shape.expires) Entry::store(fresh->fixed(), expiry);
  if (kept) std::memcpy(fresh->mutable_bytes(), entry->bytes().data(), kept);
  dict_.replace(hash(key), entry, fresh, shape.expires);
  charged_ += own_memory(fresh) - before;
  blocks::free(entry, entry->size());
  entry = fresh;
}

void Keyspace::resize(Entry*& entry, size_t value_bytes) {
  assert(Entry::has_bytes(entry->encoding()));
  assert(!walk_ || walk_->saved(*entry));
  const size_t key_bytes = entry->key().size();
  const Entry::Shape shape{entry->type(), entry->encoding(), value_bytes, entry->expires(), entry->noted()};
  const bool wide = entry->flags_ & Entry::kWide;
  // The common case keeps the layout: only the length changes, and the block may have the room already.
  if (wide == Entry::wide(key_bytes, value_bytes) &&
      blocks::fits_in_place(entry, entry->size(), Entry::size_for(key_bytes, shape))) {
    const Note note = entry->note();
    entry->set_value_length(value_bytes);
    if (entry->noted()) entry->store_note(note);
    return;
  }
  reshape(entry, shape);
}

void Keyspace::reencode(Entry*& entry, Encoding encoding, size_t value_bytes) {
  reshape(entry, {entry->type(), encoding, value_bytes, entry->expires(), entry->noted()});
}

void Keyspace::save_before_change(Entry* entry) { walk_->before_change(*entry); }

void Keyspace::save_before_replace(Entry*& entry) {
  if (!walk_->keeps(*entry)) return walk_->before_change(*entry);
  // The entry itself goes to the snapshot, which may have written half of it, and an empty one of the same shape takes
  // its place.
  charged_ -= memory_of(*entry) - own_memory(entry);
  Entry* fresh = allocate(entry->key(), {entry->type(), entry->encoding(), 0, entry->expires()});
  fresh->access_ = entry->access_;
  if (entry->expires()) Entry::store(fresh->fixed(), entry->expiry_word());
  const uint64_t at = hash(entry->key());
  dict_.replace(at, entry, fresh, entry->expires());
  walk_->added(at, *fresh);
  walk_->keep(entry);
  entry = fresh;
}

void Keyspace::reset(Entry*& entry, Type type, Encoding encoding, size_t value_bytes) {
  before_replace(entry);
  const size_t owned = memory_of(*entry) - own_memory(entry);
  if (is_slow_to_free(*entry)) {
    // The old value leaves under an entry of its own, which only carries it to the other thread.
    Entry* carrier = allocate({}, {entry->type(), entry->encoding(), 0, false});
    carrier->set_pointer(entry->pointer());
    observer_.reclaim(std::make_unique<SlowEntry>(carrier));
  } else {
    dispose_value(entry);
  }
  // Where there is no memory for what follows, it has no value at all.
  if (!Entry::has_bytes(entry->encoding())) Entry::store(entry->payload(), 0);
  charged_ -= owned;
  entry->flags_ &= static_cast<uint8_t>(~Entry::kModified);
  if (entry->type() != type) {
    --counter(entry->type());
    ++counter(type);
  }
  const bool same = entry->type() == type && entry->encoding() == encoding;
  if (same && Entry::has_bytes(encoding)) {
    resize(entry, value_bytes);
  } else if (!same) {
    reshape(entry, {type, encoding, value_bytes, entry->expires(), entry->noted() && type == Type::String});
  }
}

/// The same value in an entry that has other parts beside it.
void Keyspace::rebuild(Entry*& entry, bool expires, bool noted) {
  const Encoding encoding = entry->encoding();
  const void* value = Entry::has_bytes(encoding) ? nullptr : entry->pointer();
  const size_t value_bytes = Entry::has_bytes(encoding) ? entry->bytes().size() : 0;
  reshape(entry, {entry->type(), encoding, value_bytes, expires, noted});
  if (!Entry::has_bytes(encoding)) entry->set_pointer(const_cast<void*>(value));
}

void Keyspace::set_note(Entry*& entry, const Note& note) {
  assert(entry->type() == Type::String);
  const bool noted = !note.empty();
  if (!noted && !entry->noted()) return;
  before_change(entry);
  if (noted != entry->noted()) rebuild(entry, entry->expires(), noted);
  if (noted) entry->store_note(note);
}

void Keyspace::set_expiry(Entry*& entry, int64_t expiry_ms) {
  before_change(entry);
  const bool expires = expiry_ms >= 0;
  if (expires == entry->expires()) {
    if (expires) Entry::store(entry->fixed(), expiry_ms);
    return;
  }
  rebuild(entry, expires, entry->noted());
  if (expires) {
    Entry::store(entry->fixed(), expiry_ms);
    ++expiring_;
  } else {
    --expiring_;
  }
}

void Keyspace::set_default_expiry(Entry*& entry, int64_t expiry_ms) {
  set_expiry(entry, expiry_ms);
  Entry::store(entry->fixed(), entry->expiry_word() | Entry::kByDefault);
}

void Keyspace::forget(Entry* entry) {
  assert(!locked_);
  const std::string_view key = entry->key();
  [[maybe_unused]] const Entry* erased = dict_.erase(hash(key), key);
  assert(erased == entry);
  charged_ -= memory_of(*entry);
  --counter(entry->type());
  if (entry->expires()) --expiring_;
}

void Keyspace::erase(Entry* entry) {
  const bool kept = walk_ && walk_->keeps(*entry);
  if (!kept) before_change(entry);
  forget(entry);
  if (kept) {
    walk_->keep(entry);
  } else {
    discard(entry);
  }
}

void Keyspace::evict(Entry* entry) {
  observer_.evicted(*this, entry->key());
  erase(entry);
}

void Keyspace::discard(Entry* entry) {
  if (is_slow_to_free(*entry)) {
    observer_.reclaim(std::make_unique<SlowEntry>(entry));
  } else {
    dispose(entry);
  }
}

Entry* Keyspace::unlink(Entry* entry) {
  before_change(entry);
  forget(entry);
  return entry;
}

void Keyspace::insert(Entry* entry) {
  assert(!locked_);
  const uint64_t at = hash(entry->key());
  dict_.insert(at, entry, entry->expires());
  taken_in(at, entry);
}

bool Keyspace::insert_new(uint64_t hash, Entry* entry) {
  if (!dict_.insert_new(hash, entry, entry->expires())) return false;
  taken_in(hash, entry);
  return true;
}

void Keyspace::taken_in(uint64_t hash, Entry* entry) {
  charged_ += memory_of(*entry);
  ++counter(entry->type());
  if (entry->expires()) ++expiring_;
  entry->set_mark(0);
  if (walk_) walk_->added(hash, *entry);
  if (announces_new_) observer_.created(*this, entry->key());
}

Entry* Keyspace::rekey(Entry* entry, std::string_view key) {
  const bool bytes = Entry::has_bytes(entry->encoding());
  Entry* fresh = allocate(
      key, {entry->type(), entry->encoding(), bytes ? entry->bytes().size() : 0, entry->expires(), entry->noted()});
  fresh->access_ = entry->access_;
  fresh->fetched_ = entry->fetched_;
  fresh->flags_ |= entry->flags_ & Entry::kModified;
  if (entry->noted()) fresh->store_note(entry->note());
  if (entry->expires()) Entry::store(fresh->fixed(), entry->expiry_word());
  if (bytes) {
    std::memcpy(fresh->mutable_bytes(), entry->bytes().data(), entry->bytes().size());
  } else {
    fresh->set_pointer(entry->pointer());
  }
  blocks::free(entry, entry->size());
  return fresh;
}

Entry* Keyspace::clone(const Entry& entry, std::string_view key, Pauses* pauses) {
  const bool bytes = Entry::has_bytes(entry.encoding());
  Entry* fresh = allocate(
      key, {entry.type(), entry.encoding(), bytes ? entry.bytes().size() : 0, entry.expires(), entry.noted()});
  fresh->access_ = entry.access_;
  fresh->flags_ |= entry.flags_ & Entry::kModified;
  if (entry.noted()) {
    fresh->store_note(entry.note());
    fresh->drop_cas();  // numbers are unique
  }
  if (entry.expires()) Entry::store(fresh->fixed(), entry.expiry_word());
  if (bytes) {
    std::memcpy(fresh->mutable_bytes(), entry.bytes().data(), entry.bytes().size());
  } else {
    fresh->set_pointer(clone_value(entry, pauses));
  }
  return fresh;
}

Entry* Keyspace::drop_expired(Entry* entry) {
  if (observer_.keeps_expired()) return nullptr;
  observer_.expired(*this, entry->key());
  erase(entry);
  return nullptr;
}

void Keyspace::clear() {
  assert(!locked_);
  // An empty database may still hold the table of what it once held.
  if (memory() == 0) return;
  auto contents = std::make_unique<Contents>(memory());
  contents->dict.swap(dict_);
  expiring_ = charged_ = 0;
  counts_ = {};
  average_ttl_ = ttl_count_ = 0;
  ttl_sum_ = 0;
  stale_marks_ = 0;
  clean_cursor_ = 0;
  if (walk_) {
    std::exchange(walk_, nullptr)->follow(std::move(contents));
  } else {
    observer_.reclaim(std::move(contents));
  }
}

void Keyspace::swap_contents(Keyspace& other) {
  assert(!locked_ && !other.locked_);
  dict_.swap(other.dict_);
  std::swap(counts_, other.counts_);
  std::swap(expiring_, other.expiring_);
  std::swap(charged_, other.charged_);
  std::swap(average_ttl_, other.average_ttl_);
  std::swap(mark_, other.mark_);
  std::swap(stale_marks_, other.stale_marks_);
  std::swap(clean_cursor_, other.clean_cursor_);
  std::swap(walk_, other.walk_);
  if (walk_) walk_->follow(*this);
  if (other.walk_) other.walk_->follow(other);
  // The cursors stand for positions in the order of hashes and are as good in the other table.
}

void Keyspace::clean_marks(size_t buckets) {
  if (!has_stale_marks()) return;
  for (; buckets > 0; --buckets) {
    clean_cursor_ = dict_.scan(clean_cursor_, [](Entry& entry) {
      // Most have none, and are not to be written to.
      if (entry.mark()) entry.set_mark(0);
    });
    if (clean_cursor_ == 0) {
      stale_marks_ = 0;
      return;
    }
  }
}

size_t Keyspace::expire_slice(int64_t now_ms, size_t buckets, size_t& looked_at) {
  if (expiring_ == 0) {
    average_ttl_ = ttl_count_ = 0;
    ttl_sum_ = 0;
    return 0;
  }
  // The walk must not change the table, so a few buckets are looked through before their dead are erased.
  constexpr size_t kBatchBuckets = 16;
  size_t erased = 0;
  while (buckets > 0) {
    Entry* dead[kBatchBuckets * 7];
    size_t found = 0;
    expire_cursor_ = dict_.walk_marked(expire_cursor_, std::min(buckets, kBatchBuckets), [&](Entry& entry) {
      ++looked_at;
      if (entry.expired(now_ms)) {
        dead[found++] = &entry;
      } else {
        ttl_sum_ += entry.expiry() - now_ms;
        ++ttl_count_;
      }
    });
    for (size_t i = 0; i < found; ++i) drop_expired(dead[i]);
    erased += found;
    buckets -= std::min(buckets, kBatchBuckets);
    if (expire_cursor_ == 0) {
      average_ttl_ = ttl_count_ ? static_cast<int64_t>(ttl_sum_ / ttl_count_) : 0;
      ttl_sum_ = ttl_count_ = 0;
      break;
    }
  }
  return erased;
}

}  // namespace quartet::storage
