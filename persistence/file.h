#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quartet::persistence {

/// An open file. Errors carry errno. Closing, which is destruction, promises nothing: what has to be on disk is synced.
/// One thread at a time uses a file.
class File {
 public:
  virtual ~File() = default;
  /// Writes at the end of the file and returns how many of the bytes, at least one. REQUIRES: bytes is not empty.
  virtual Result<size_t> append(std::string_view bytes) = 0;
  /// Makes what was written durable (not the file's name: see Disk::sync_directory). After an error nobody knows what
  /// of it is on disk, and that a later call succeeds means nothing for it: the system has dropped the pages.
  virtual Result<void> sync() = 0;
  /// Cuts the file. REQUIRES: size is at most its size.
  virtual Result<void> truncate(uint64_t size) = 0;
  virtual Result<uint64_t> size() = 0;
  /// Reads from `offset` on and returns how many bytes; fewer than asked for means nothing, 0 is the end.
  virtual Result<size_t> read(uint64_t offset, std::span<char> into) = 0;
};

/// A lock that is held as long as this lives, and not longer than the process.
class DirectoryLock {
 public:
  virtual ~DirectoryLock() = default;
};

/// The only way to files of data. Any thread may use it. Errors carry errno and name the path.
class Disk {
 public:
  virtual ~Disk() = default;
  /// Opens for appending and reading; makes the file where there is none.
  virtual Result<std::unique_ptr<File>> open_append(const std::string& path) = 0;
  /// An empty file for appending and reading, in the place of whatever had the name.
  virtual Result<std::unique_ptr<File>> create(const std::string& path) = 0;
  virtual Result<std::unique_ptr<File>> open_read(const std::string& path) = 0;
  /// Gives a file another name, in the place of a file that has it. Durable when the directory is synced.
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
  virtual Result<void> remove(const std::string& path) = 0;
  /// The names in a directory in alphabetical order, without "." and "..".
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;
  /// Makes a directory; one that exists is no error.
  virtual Result<void> make_directory(const std::string& path) = 0;
  /// Makes the names in a directory durable: files that were created, renamed and removed.
  virtual Result<void> sync_directory(const std::string& path) = 0;
  /// Takes the directory for this process by a lock file in it, or says who cannot: EWOULDBLOCK where another has it.
  virtual Result<std::unique_ptr<DirectoryLock>> lock_directory(const std::string& path) = 0;
};

/// Appends all of `bytes`, however short the single writes are.
Result<void> append_all(File& file, std::string_view bytes);
/// The whole of a file that is at most `limit` bytes long; EFBIG otherwise.
Result<std::string> read_whole(Disk& disk, const std::string& path, size_t limit);
/// Puts a file of this content, synced, in the place of `directory`/`name`: after a power cut there is the old one
/// or the new one. Uses the name `temp-<name>` on the way.
Result<void> replace_file(Disk& disk, const std::string& directory, const std::string& name, std::string_view content);

}  // namespace quartet::persistence
