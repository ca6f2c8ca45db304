#pragma once

#include <memory>
#include <string>

#include "persistence/aof_format.h"
#include "persistence/file.h"

namespace quartet::persistence {

/// The increment that is being written. One thread at a time uses it.
class AofIncrement {
 public:
  /// A new file with an empty batch in it, on disk with its name.
  static Result<std::unique_ptr<AofIncrement>> create(Disk& disk, const std::string& directory,
                                                      const std::string& name);
  /// Goes on behind what a file holds: `size` bytes, which are durable (see cut_tail). Another size is an error.
  static Result<std::unique_ptr<AofIncrement>> open(Disk& disk, const std::string& directory, const std::string& name,
                                                    uint64_t size);

  /// Writes batches behind those before: all of them or, where that fails, none; they may then be tried again.
  Result<void> write(AofBuffer& batches);
  /// Makes what was written durable. A failure is final: see File::sync.
  Result<void> sync();

  const std::string& name() const { return name_; }
  /// Where the last whole batch ends, in bytes.
  uint64_t size() const { return size_; }
  uint64_t synced() const { return synced_; }

 private:
  AofIncrement(std::unique_ptr<File> file, std::string name, uint64_t size)
      : file_(std::move(file)), name_(std::move(name)), size_(size) {}

  std::unique_ptr<File> file_;
  std::string name_;
  uint64_t size_;
  uint64_t synced_ = 0;
  bool has_part_ = false;       // of a batch behind size_, from a write that failed
  bool sync_failed_ = false;
};

}  // namespace quartet::persistence
