#include "persistence/aof_increment.h"

#include <cerrno>

namespace quartet::persistence {

Result<std::unique_ptr<AofIncrement>> AofIncrement::create(Disk& disk, const std::string& directory,
                                                           const std::string& name) {
  Result<std::unique_ptr<File>> file = disk.create(directory + "/" + name);
  if (!file) return file.error();
  std::unique_ptr<AofIncrement> increment(new AofIncrement(std::move(*file), name, 0));
  AofBuffer first;
  first.append_empty_batch();
  if (Result<void> done = increment->write(first); !done) return done.error();
  if (Result<void> done = increment->sync(); !done) return done.error();
  if (Result<void> done = disk.sync_directory(directory); !done) return done.error();
  return increment;
}

Result<std::unique_ptr<AofIncrement>> AofIncrement::open(Disk& disk, const std::string& directory,
                                                         const std::string& name, uint64_t size) {
  Result<std::unique_ptr<File>> file = disk.open_append(directory + "/" + name);
  if (!file) return file.error();
  const Result<uint64_t> found = (*file)->size();
  if (!found) return found.error();
  if (*found != size) return Error{name + " has changed its size since it was read", EBUSY};
  std::unique_ptr<AofIncrement> increment(new AofIncrement(std::move(*file), name, size));
  increment->synced_ = size;
  return increment;
}

Result<void> AofIncrement::write(AofBuffer& batches) {
  if (has_part_) {
    if (Result<void> done = file_->truncate(size_); !done) return done;
    has_part_ = false;
  }
  batches.finish(size_, synced_);
  if (Result<void> done = append_all(*file_, batches.bytes()); !done) {
    // Now, so that the file ends whole if the process does; or else before the next try.
    has_part_ = !file_->truncate(size_);
    return done;
  }
  size_ += batches.size();
  return {};
}

Result<void> AofIncrement::sync() {
  if (sync_failed_) return Error{name_ + " could not be synced before", EIO};
  if (Result<void> done = file_->sync(); !done) {
    sync_failed_ = true;
    // What is left is what is on disk: readers of this system must not find what a power cut would take.
    const Result<void> cut = file_->truncate(synced_);
    static_cast<void>(cut);
    return done;
  }
  synced_ = size_;
  return {};
}

}  // namespace quartet::persistence
