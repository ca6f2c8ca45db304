#pragma once

#include "persistence/file.h"

namespace quartet::persistence {

/// The operating system's files (POSIX).
class SystemDisk final : public Disk {
 public:
  Result<std::unique_ptr<File>> open_append(const std::string& path) override;
  Result<std::unique_ptr<File>> create(const std::string& path) override;
  Result<std::unique_ptr<File>> open_read(const std::string& path) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> remove(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Result<void> make_directory(const std::string& path) override;
  Result<void> sync_directory(const std::string& path) override;
  /// The lock file is `quartet.lock`; it stays when the lock goes.
  Result<std::unique_ptr<DirectoryLock>> lock_directory(const std::string& path) override;
};

}  // namespace quartet::persistence
