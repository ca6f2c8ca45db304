#pragma once

#include <cstdint>
#include <memory>

#include "base/limits.h"
#include "storage/keyspace.h"

namespace quartet::storage {

/// Takes the entries of a snapshot, each exactly once.
class SnapshotSink {
 public:
  virtual ~SnapshotSink() = default;
  /// Write the entry now, whole: it may change after this call. `database` is the index at the beginning of the
  /// snapshot.
  virtual void save(int database, const Entry& entry) = 0;
  /// Write this large entry in slices, and call SnapshotWalk::written after the last. It does not change, nor move,
  /// meanwhile.
  virtual void postpone(SnapshotWalk& walk, Entry* entry) = 0;
  /// What remains of a postponed entry has to be written now: it changes after this call. The walk knows that it is
  /// written.
  virtual void finish(Entry* entry) = 0;
  /// A large entry has left its keyspace, and belongs to the sink, which writes it in slices and then calls
  /// SnapshotWalk::discard. It may be one that is postponed, and so known already.
  virtual void keep(SnapshotWalk& walk, Entry* entry) = 0;
};

/// A walk through the contents of one keyspace as they were when it began, while the keyspace goes on changing. Nothing
/// is copied, and beginning is O(1).
///
/// The walk goes through the hashes in their order, which is that of the table at any size (see Dict), and entries that
/// are about to change before it has come to them are saved first. Whether an entry is saved already is told by where
/// it is:
///
///   hash:   0 ............................ cursor ................................. end
///           saved, or made since           to be saved, unless it has the walk's mark
///
/// The mark is set on an entry ahead of the cursor that was saved before its change, or that is new; the walk removes
/// it when it passes. Behind the cursor nothing is marked. So the walk does not write to entries that nobody has
/// changed, and when it is through there are no marks. One that is given up leaves marks ahead of its cursor; the next
/// walk has another of kMarks marks, and takes entries with a foreign one for what they are, not saved, while it
/// removes that too. The contents count the walks given up since there were no marks. While they are fewer than kMarks,
/// the marks that may be left are the last ones used, so many, and the next one in the circle is none of them; before
/// they are as many, marks are removed: by Keyspace::clean_marks in slices, or, had that not come to its end, all at
/// once when the next walk begins.
///
/// A large entry is not saved in one piece. The walk leaves it to the sink (`postpone`), and it is not saved until the
/// sink says so, although the cursor has passed: this is the bit `postponed` of the entry.
///
/// Walk and marks belong to the contents: they go with them where the contents of two keyspaces are exchanged, and
/// where the keyspace is cleared the walk goes on in the old contents, and frees them at its end.
class SnapshotWalk {
 public:
  static constexpr unsigned kMarks = 15;

  /// Begins. An entry is large if it takes more bytes of memory than `large_bytes`. REQUIRES: no other walk goes
  /// through these contents. The sink and the keyspace outlive the walk.
  SnapshotWalk(Keyspace& keyspace, SnapshotSink& sink, size_t large_bytes = limits::kSnapshotLargeBytes);
  SnapshotWalk(const SnapshotWalk&) = delete;
  SnapshotWalk& operator=(const SnapshotWalk&) = delete;
  /// Ends the walk, wherever it is. REQUIRES: no entry is postponed.
  ~SnapshotWalk();

  bool belongs_to(const SnapshotSink& sink) const { return &sink == &sink_; }
  /// The keyspace's index at the beginning.
  int database() const { return database_; }

  /// Saves or postpones the entries of the next bucket; about 5. REQUIRES: !through().
  void step();
  /// Whether the cursor has come to the end.
  bool through() const { return through_; }

  /// Whether an entry of these contents is not to be saved any more.
  bool saved(const Entry& entry) const { return saved(Keyspace::hash(entry.key()), entry); }
  /// Whether an entry is with the sink, to be written in slices.
  static bool postponed(const Entry& entry) { return entry.postponed(); }
  /// Postpones an entry now, before the walk comes to it. REQUIRES: is_large, not saved, not postponed.
  void postpone(Entry* entry);
  /// A postponed entry is written.
  void written(Entry* entry);
  /// The entry is in no keyspace any more: frees it, on another thread where that would take long.
  void discard(Entry* entry) { keyspace_->discard(entry); }
  /// Bytes of memory that only the walk holds still: of the contents of a keyspace that was cleared.
  size_t memory() const { return contents_ ? contents_->bytes() : 0; }
  /// A postponed entry will not be written, because the snapshot is given up.
  static void forget(Entry* entry) { entry->set_postponed(false); }

  /// Whether an entry takes so long to save that it is done in slices.
  bool is_large(const Entry& entry) const {
    // What lies inside the entry is never large.
    return (entry.encoding() == Encoding::Table || entry.encoding() == Encoding::Shared) &&
           memory_of(entry) > large_bytes_;
  }

 private:
  friend class Keyspace;

  const Dict<Keyspace::EntryTraits>& dict() const { return contents_ ? contents_->dict : keyspace_->dict_; }
  bool ahead(uint64_t hash) const { return !through_ && hash >= cursor_; }
  bool saved(uint64_t hash, const Entry& entry) const {
    return !entry.postponed() && (entry.mark() == mark_ || !ahead(hash));
  }

  /// An entry was put into the keyspace, under its hash.
  void added(uint64_t hash, Entry& entry) const {
    if (ahead(hash)) entry.set_mark(mark_);
  }
  void before_change(Entry& entry);
  /// Whether the sink wants the entry for itself rather than let it be freed.
  bool keeps(const Entry& entry) const { return is_large(entry) && !saved(entry); }
  void keep(Entry* entry) { sink_.keep(*this, entry); }
  /// The contents are in another keyspace now.
  void follow(Keyspace& keyspace) { keyspace_ = &keyspace; }
  /// The keyspace was cleared.
  void follow(std::unique_ptr<Keyspace::Contents> contents) { contents_ = std::move(contents); }

  Keyspace* keyspace_;
  SnapshotSink& sink_;
  const int database_;
  const size_t large_bytes_;
  const unsigned mark_;
  uint64_t cursor_ = 0;
  uint64_t fetched_ = 0;  // up to where entries were asked for
  bool through_ = false;
  std::unique_ptr<Keyspace::Contents> contents_;  // set when the keyspace was cleared
};

}  // namespace quartet::storage
