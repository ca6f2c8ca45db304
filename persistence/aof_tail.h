#pragma once

#include <cstdint>
#include <string>

#include "persistence/file.h"

namespace quartet::persistence {

/// A look at what is behind a damaged place of an increment, from there to the end of the file, in slices.
class TailScan {
 public:
  /// `file` outlives the scan and does not change meanwhile.
  TailScan(File& file, uint64_t offset) : file_(file), offset_(offset), at_(offset), zeros_begin_(offset) {}

  /// Goes on through about so many bytes, and returns whether more is to come. What follows here is known when it is
  /// not.
  Result<bool> step(size_t budget_bytes);

  /// Whether an intact annotation says that more of the file than what precedes the damage was on disk before it was
  /// written; the scan ends with it.
  bool declared_synced() const { return declared_synced_; }
  /// Where the zeros begin that the file ends with, as a power cut leaves of pages that were not written; at the damage
  /// where there is nothing else, and the file's size where it does not end with zeros.
  uint64_t zeros_begin() const { return zeros_begin_; }

 private:
  File& file_;
  const uint64_t offset_;
  uint64_t at_;        // where the next chunk begins
  std::string chunk_;  // the end of the last one, in which an annotation may begin
  bool declared_synced_ = false;
  uint64_t zeros_begin_;
};

/// Cuts the file `directory`/`name` to `size` where it is longer, and makes it durable, with the names of the
/// directory: a process that was killed may have left what readers see and a power cut would take. To be done with the
/// last increment after reading, before AofLog::resume.
Result<void> cut_tail(Disk& disk, const std::string& directory, const std::string& name, uint64_t size);

}  // namespace quartet::persistence
