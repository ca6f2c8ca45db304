#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "persistence/file.h"

namespace quartet::test {

/// A disk in memory that fails in the ways in which real ones do, as its seed decides. What is synced is kept apart
/// from what is only written: the bytes of a file page by page, its length, and the names in each directory one by one.
///
/// A power cut leaves of every page that was not synced nothing, all, or the part before any byte; of a length any
/// between the synced and the last one (what no page fills is zero); and of the changes of names any of them. A failed
/// sync may have written some of its pages and forgets the others: no later sync writes them.
///
/// Files know nothing of permissions, and paths are compared as they are written. One thread at a time uses it.
class SimulatedDisk final : public persistence::Disk {
 public:
  static constexpr size_t kPageBytes = 4096;

  explicit SimulatedDisk(uint64_t seed);
  ~SimulatedDisk() override;

  // -- what goes wrong

  /// From now on every call of the kind fails with this chance in 1000: EIO, for writing also ENOSPC.
  struct Rates {
    int append = 0, short_append = 0, sync = 0, truncate = 0, names = 0, sync_directory = 0, read = 0;
  };
  void set_rates(const Rates& rates) { rates_ = rates; }
  /// Lets the n-th call from now on fail with this errno, whatever it is; 1 is the next one.
  void fail_call(uint64_t n, int code) { fail_at_ = calls_ + n, fail_code_ = code; }
  /// Cuts the power within the n-th call from now on; from then on every call answers EIO until restart().
  void cut_power_at_call(uint64_t n) { cut_at_ = calls_ + n; }
  void cut_power() { dead_ = true; }
  bool has_power() const { return !dead_; }
  /// Calls of File and Disk so far.
  uint64_t calls() const { return calls_; }
  /// Bytes that fit on the disk, all files together; what does not fit is ENOSPC.
  void set_capacity(uint64_t bytes) { capacity_ = bytes; }

  /// What a restart finds: after a power cut what survived it, otherwise (the process was killed) everything. Locks are
  /// gone, and files that were open answer EBADF.
  void restart();

  /// How long the calls since the last call of this took in simulated time: syncs take up to `set_sync_us`.
  int64_t take_elapsed_us();
  void set_sync_us(int64_t most) { sync_us_ = most; }

  /// A file's bytes as a reader sees them, and as a test changes them; null where there is none.
  std::string* content(const std::string& path);

  // -- persistence::Disk

  Result<std::unique_ptr<persistence::File>> open_append(const std::string& path) override;
  Result<std::unique_ptr<persistence::File>> create(const std::string& path) override;
  Result<std::unique_ptr<persistence::File>> open_read(const std::string& path) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> remove(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Result<void> make_directory(const std::string& path) override;
  Result<void> sync_directory(const std::string& path) override;
  Result<std::unique_ptr<persistence::DirectoryLock>> lock_directory(const std::string& path) override;

 private:
  friend class SimulatedFile;
  friend class SimulatedLock;
  struct Node;
  using NodePointer = std::shared_ptr<Node>;
  using Names = std::map<std::string, NodePointer>;
  /// A change of names that is not durable yet: `to` names `node` from then on (nothing, where it is null), and `from`
  /// no longer does.
  struct Change {
    std::string from, to;
    NodePointer node;
  };
  struct Node {
    bool directory = false;
    std::string current;             // as readers see it
    std::string stored;              // as it is on disk
    std::set<size_t> dirty;          // pages of `current` that a sync has to write
    bool size_dirty = false;
    Names names, stored_names;       // of a directory
    std::vector<Change> changes;     // what leads from stored_names to names
  };

  Error error(int code, const std::string& path) const;
  /// Counts a call and decides about it: 0 to go on, otherwise the errno to answer. Where `dead_` is
  /// set after 0, the power goes during this call: it may happen in part and answers EIO.
  int begin_call(int rate, bool may_be_full = false);
  bool chance(int in_1000) { return in_1000 > 0 && random_.below(1000) < static_cast<uint64_t>(in_1000); }
  bool coin() { return random_.below(2) == 0; }
  NodePointer find(const std::string& path) const;
  NodePointer parent(const std::string& path, std::string& name) const;
  Result<std::unique_ptr<persistence::File>> open(const std::string& path, bool make, bool replace, bool writable);
  void change(Node& directory, Change change);
  static void apply(Names& names, const Change& change);
  void store_pages(Node& node, bool all);
  void lose_power(Node& node);
  uint64_t used() const;
  static uint64_t used_below(const Node& directory);

  Random random_;
  NodePointer root_;
  Rates rates_;
  uint64_t calls_ = 0, fail_at_ = 0, cut_at_ = 0;
  int fail_code_ = 0;
  bool dead_ = false;
  uint64_t capacity_ = UINT64_MAX;
  uint64_t generation_ = 0;
  std::set<std::string> locks_;
  int64_t sync_us_ = 0, elapsed_us_ = 0;
};

}  // namespace quartet::test
