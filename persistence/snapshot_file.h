#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "persistence/file.h"

namespace quartet::persistence {

/// A file of RDB that comes into being beside the one it replaces: written under a temporary name, synced, and then
/// given its own. One thread at a time, but for give_up; all of it may wait for the disk. What was not published is
/// removed with the object.
class SnapshotFile {
 public:
  /// Nothing is opened yet. `checksum` is `rdbchecksum`.
  SnapshotFile(Disk& disk, std::string directory, std::string temporary_name, bool checksum);
  SnapshotFile(const SnapshotFile&) = delete;
  SnapshotFile& operator=(const SnapshotFile&) = delete;
  ~SnapshotFile();

  Result<void> write(std::string_view bytes);
  /// Behind the last bytes: the checksum, and everything made durable but the name.
  Result<void> finish();
  /// Puts the finished file in the place of the directory's `name`, durably; ECANCELED after give_up.
  Result<void> publish(const std::string& name);
  /// From any thread: the file is not published any more. One that is being published now is so when this returns, so
  /// that whatever is published later comes after it.
  void give_up();
  /// Leaves the finished file to somebody else, who renames it.
  std::string hand_over();

  uint64_t size() const { return size_; }

 private:
  Disk& disk_;
  const std::string directory_;
  const std::string path_;
  const bool checksum_;
  std::unique_ptr<File> file_;
  bool exists_ = false;
  std::mutex publishing_;
  bool given_up_ = false;  // under publishing_
  uint64_t crc_ = 0;
  uint64_t size_ = 0;
};

}  // namespace quartet::persistence
